import NIOCore
import Testing

@testable import duplex

struct CapacityTests {
    private func plan(_ connections: Int) -> BenchPlan { BenchPlan(kind: .idle, url: "ws://a", connections: connections) }

    @Test func filesOfTheProcess() throws {
        try Capacity.check(files: 20_000, for: plan(19_936))
        try Capacity.check(files: nil, for: plan(1_000_000))
        let error = #expect(throws: BenchError.self) { try Capacity.check(files: 20_000, for: plan(19_937)) }
        #expect(error?.description.contains("19937 connections need as many open files, and this process may open 20000") == true)
        #expect(error?.description.contains("at most 19936") == true)
    }

    @Test func portsOfAnAddress() throws {
        try Capacity.check(ports: 28_232, for: plan(28_232))
        try Capacity.check(ports: nil, for: plan(1_000_000))
        let error = #expect(throws: BenchError.self) { try Capacity.check(ports: 28_232, for: plan(28_233)) }
        #expect(error?.description.contains("28232") == true)
    }

    #if os(Linux)
    @Test func theSystemSaysHowManyThereAre() throws {
        #expect(try #require(Capacity.localPorts(to: SocketAddress(ipAddress: "127.0.0.1", port: 1))) > 0)
        #expect(Capacity.localPorts(to: nil) == nil)
        #expect(try #require(raiseOpenFilesLimit()) > 0)
    }
    #endif
}

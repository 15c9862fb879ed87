import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import duplex

struct ServerProcessTests {
    private let table = """
          sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
           0: 0100007F:5208 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
           1: 0100007F:5208 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
           2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
           3: broken
        """

    @Test func whetherItIsThere() {
        #expect(ServerProcess(pid: ProcessInfo.processInfo.processIdentifier).exists)
        // Above the system's most: 4,194,304 (proc(5)).
        #expect(!ServerProcess(pid: .max).exists)
    }

    @Test func listenersInTheSystemsTable() {
        #expect(ServerProcess.listeners(on: 21_000, in: table) == ["4711"])
        #expect(ServerProcess.listeners(on: 22, in: table) == ["4713"])
        #expect(ServerProcess.listeners(on: 23, in: table) == [])
        #expect(ServerProcess.listeners(on: 1, in: "") == [])
    }

    @Test(arguments: [
        ("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.1", true), ("10.0.0.1", false), ("::2", false),
    ])
    func loopback(_ address: String, _ isLoopback: Bool) throws {
        #expect(try SocketAddress(ipAddress: address, port: 1).isLoopback == isLoopback)
    }

    #if os(Linux)
    /// While hundreds of tests in this process open and close descriptors, a look now and then finds nothing; why is not known yet.
    @Test(.timeLimit(.minutes(1))) func whoListensIsFound() async throws {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(channel.localAddress)
        var process: ServerProcess?
        while process == nil {
            process = ServerProcess.listening(at: address)
            try Task.checkCancellation()
            await Task.yield()
        }
        #expect(process?.pid == ProcessInfo.processInfo.processIdentifier)
        try await channel.close()
        #expect(ServerProcess.listening(at: try SocketAddress(ipAddress: "10.0.0.1", port: 80)) == nil)
    }

    @Test func timeAndMemory() throws {
        let process = ServerProcess(pid: ProcessInfo.processInfo.processIdentifier)
        #expect(try #require(process.cpuTime) >= 0)
        #expect(try #require(process.residentBytes) > 1 << 20)
        #expect(ServerProcess(pid: .max).cpuTime == nil)
        #expect(ServerProcess(pid: .max).residentBytes == nil)
    }
    #endif
}

// A client's connection: ClientMachine.swift.

import EngineIO
import Testing

@testable import SocketIO

@Suite struct ClientMachineTests {
    /// A machine, and what it asks for, as text.
    private final class Bench {
        private var machine: ClientMachine

        init(_ reconnection: SocketIOReconnection? = SocketIOReconnection()) { machine = ClientMachine(reconnection) }

        static func open(_ reconnection: SocketIOReconnection? = SocketIOReconnection()) -> Bench {
            let bench = Bench(reconnection)
            _ = bench.open()
            _ = bench.opened(1)
            return bench
        }

        func open() -> [String] { done { $0.open() } }
        func opened(_ number: Int) -> [String] { done { $0.opened(number) } }
        func fail(_ number: Int) -> [String] {
            done { $0.ended(number, .transportError, SocketIOConnectError(.connection, "refused"), random: 0.5) }
        }
        func end(_ number: Int) -> [String] { done { $0.ended(number, .transportClose, nil, random: 0.5) } }
        func waited(_ number: Int) -> [String] { done { $0.waited(number) } }
        func close() -> [String] { done { $0.close() } }
        func restart() -> [String] { done { $0.restart() } }

        private func done(_ event: (inout ClientMachine) -> Void) -> [String] {
            event(&machine)
            return machine.takeActions().map(Self.text)
        }

        private static func text(_ action: ClientMachine.Action) -> String {
            switch action {
            case .openEngine(let number): "open \(number)"
            case .closeEngine(let number): "close \(number)"
            case .wait(let time, let number): "wait \(number) \(time)"
            case .event(.reconnectAttempt(let count)): "<reconnect_attempt \(count)>"
            case .event(.reconnect(let count)): "<reconnect \(count)>"
            case .event(let event): "<\(event.name)>"
            case .opened: "opened"
            case .closed(let reason, let willReconnect): "closed: \(reason)\(willReconnect ? "…" : "")"
            case .failed(_, let willReconnect): "failed\(willReconnect ? "…" : "")"
            }
        }
    }

    @Test func opensOnce() {
        let bench = Bench()
        #expect(bench.open() == ["open 1"])
        #expect(bench.open() == [])
        #expect(bench.opened(1) == ["<open>", "opened"])
        #expect(bench.open() == [])
    }

    @Test func aLostConnectionIsMadeAnew() {
        let bench = Bench.open()
        #expect(bench.end(1) == ["closed: transport close…", "<close>", "wait 2 1.0 seconds"])
        #expect(bench.open() == [])
        #expect(bench.waited(2) == ["<reconnect_attempt 1>", "open 3"])
        #expect(bench.fail(3) == ["<error>", "failed…", "<reconnect_error>", "wait 4 2.0 seconds"])
        #expect(bench.waited(4) == ["<reconnect_attempt 2>", "open 5"])
        #expect(bench.opened(5) == ["<open>", "opened", "<reconnect 2>"])
        // The waits begin anew.
        #expect(bench.end(5) == ["closed: transport close…", "<close>", "wait 6 1.0 seconds"])
    }

    @Test func aFirstAttemptIsRepeated() {
        let bench = Bench()
        _ = bench.open()
        #expect(bench.fail(1) == ["<error>", "failed…", "wait 2 1.0 seconds"])
        #expect(bench.waited(2) == ["<reconnect_attempt 1>", "open 3"])
    }

    @Test func attemptsEnd() {
        let bench = Bench(SocketIOReconnection(maxAttempts: 1))
        _ = bench.open()
        _ = bench.fail(1)
        _ = bench.waited(2)
        #expect(bench.fail(3) == ["<error>", "failed", "<reconnect_error>", "<reconnect_failed>"])
        // By hand, all of it can begin again.
        #expect(bench.open() == ["open 4"])
        #expect(bench.fail(4) == ["<error>", "failed…", "wait 5 1.0 seconds"])
    }

    @Test func withoutReconnection() {
        let bench = Bench.open(nil)
        #expect(bench.end(1) == ["closed: transport close", "<close>"])
        #expect(bench.open() == ["open 2"])
        #expect(bench.fail(2) == ["<error>", "failed"])
    }

    @Test func lateNewsIsNone() {
        let bench = Bench.open()
        #expect(bench.opened(1) == [] && bench.end(0) == [] && bench.waited(1) == [])
        _ = bench.end(1)
        #expect(bench.end(1) == [] && bench.fail(2) == [] && bench.opened(2) == [] && bench.waited(1) == [])
    }

    @Test func closing() {
        let bench = Bench.open()
        #expect(bench.close() == ["close 1", "closed: forced close", "<close>"])
        #expect(bench.end(1) == [] && bench.close() == [])
        #expect(bench.open() == ["open 3"])
        #expect(bench.close() == ["close 3"])
        #expect(bench.opened(3) == [])
    }

    @Test func closingEndsAWait() {
        let bench = Bench.open()
        _ = bench.end(1)
        #expect(bench.close() == [])
        #expect(bench.waited(2) == [])
    }

    @Test func anotherConnectionAtOnce() {
        let bench = Bench.open()
        #expect(bench.restart() == ["close 1", "closed: transport close…", "<close>", "open 2"])
        // What is under way may be on the network that is gone.
        #expect(bench.restart() == ["close 2", "open 3"])
        #expect(bench.opened(2) == [])
        #expect(bench.opened(3) == ["<open>", "opened", "<reconnect 0>"])
        _ = bench.end(3)
        #expect(bench.restart() == ["<reconnect_attempt 1>", "open 5"])
        #expect(bench.waited(4) == [])
    }

    @Test func anotherTryAtOnce() {
        let bench = Bench()
        _ = bench.open()
        #expect(bench.restart() == ["close 1", "open 2"])
        #expect(bench.fail(1) == [] && bench.opened(1) == [])
        #expect(bench.opened(2) == ["<open>", "opened"])
    }
}

// One namespace on a client, packet by packet: ClientSocketMachine.swift and ClientSocketMachine+Emitting.swift.

import Testing
import WebSockets

@testable import SocketIO

@Suite struct ClientSocketMachineTests {
    private struct Fault: Error, CustomStringConvertible { let description = "no token" }

    /// A machine, and what it asks for, as text.
    private final class Bench {
        private var machine: ClientSocketMachine
        private var lastEmission = 0

        init(_ adjust: (inout SocketIOClientConfiguration) -> Void = { _ in }) {
            var configuration = SocketIOClientConfiguration()
            adjust(&configuration)
            machine = ClientSocketMachine("/", configuration)
        }

        /// One that is connected, as `id`, with `pid` if there is one.
        static func connected(pid: String? = nil, _ adjust: (inout SocketIOClientConfiguration) -> Void = { _ in }) -> Bench {
            let bench = Bench(adjust)
            _ = bench.connect(isOpen: true)
            _ = bench.authenticated(1)
            _ = bench.joined("id", pid: pid)
            return bench
        }

        var state: SocketIOConnectionState { machine.connectionState }
        func connect(isOpen: Bool) -> [String] { done { $0.connect(isOpen: isOpen) } }
        func opened() -> [String] { done { $0.opened() } }
        func authenticated(_ number: Int, _ auth: SocketIOObject? = nil) -> [String] { done { $0.authenticated(number, auth) } }
        func notAuthenticated(_ number: Int) -> [String] { done { $0.notAuthenticated(number, Fault(), random: 0.5) } }
        func withheld(_ number: Int) -> [String] { done { $0.withheld(number, SocketIOConnectError(.auth, "elsewhere")) } }
        func authenticateAgain(_ number: Int) -> [String] { done { $0.authenticateAgain(number) } }
        func receive(_ content: SocketIOPacket.Content, size: Int = 1) -> [String] { done { $0.receive(content, size: size) } }
        func joined(_ id: String, pid: String? = nil) -> [String] {
            var payload: SocketIOObject = ["sid": .string(id)]
            payload["pid"] = pid.map { .string($0) }
            return receive(.connect(payload))
        }
        func event(_ values: SocketIOValue..., id: Int? = nil) -> [String] { receive(.event(values, id: id)) }
        func ack(_ id: Int, _ values: SocketIOValue...) -> [String] { receive(.ack(values, id: id)) }
        func lose(_ reason: SocketIODisconnectReason = .transportClose) -> [String] { done { $0.closed(reason, willReconnect: true) } }
        func fail() -> [String] { done { $0.failed(SocketIOConnectError(.connection, "refused"), willReconnect: true) } }
        func disconnect() -> [String] { done { $0.disconnect() } }
        func abandon() -> [String] { done { $0.abandon() } }
        func timeOut(_ id: Int) -> [String] { done { $0.timedOut(id) } }
        func forget(_ number: Int) -> [String] { done { $0.forget(number) } }
        func acknowledge(_ id: Int, epoch: Int) -> [String] { done { $0.acknowledge(["yes"], id: id, epoch: epoch) } }

        /// Has the connection lost and made anew.
        func reconnect(_ id: String, pid: String? = nil) -> [String] {
            _ = lose()
            _ = opened()
            return authenticateAndJoin(id, pid: pid)
        }

        func authenticateAndJoin(_ id: String, pid: String? = nil) -> [String] {
            for number in 1..<20 { _ = authenticated(number) }
            return joined(id, pid: pid)
        }

        func emit(
            _ name: String, ack: Bool = false, volatile: Bool = false, timeout: Duration? = nil, isAlive: Bool = true,
            isWritable: Bool = true
        ) -> [String] {
            lastEmission += 1
            let answer: ClientSocketMachine.AckHandler? = ack ? { @Sendable _ in } : nil
            let emission = ClientSocketMachine.Emission(
                number: lastEmission, values: [.string(name)], options: SocketIOSocket.SendOptions(isVolatile: volatile), answer: answer,
                timeout: timeout)
            return done { $0.emit(emission, isAlive: isAlive, isWritable: isWritable) }
        }

        private func done(_ event: (inout ClientSocketMachine) -> Void) -> [String] {
            event(&machine)
            return machine.takeActions().compactMap(Self.text)
        }

        private static func text(_ action: ClientSocketMachine.Action) -> String? {
            switch action {
            case .openConnection: "open"
            case .authenticate(let number): "authenticate \(number)"
            case .retryAuthentication(let number, let delay): "authenticate \(number) after \(delay)"
            case .send(let packet, _): (try? SocketIOJSONParser().encode(packet).first.text).flatMap { $0 }
            case .deliver(let values, let id, _, _): "event \(values.first?.string ?? "")\(id.map { " \($0)" } ?? "")"
            case .connected: "connect"
            case .connectError(let error): "connect_error: \(error)"
            case .disconnected(let reason): "disconnect: \(reason)"
            case .answer(_, .success(let values)): "answer \(values.map { $0.string ?? "" })"
            case .answer(_, .failure(let error)): "answer: \(error)"
            case .arm(let id, let time): "arm \(id) \(time)"
            case .disarm: nil
            case .overflow: "overflow"
            case .flooded: "flooded"
            case .stateChanged: nil
            case .inactive: "inactive"
            }
        }
    }

    // MARK: Connecting

    @Test func connects() {
        let bench = Bench()
        #expect(bench.opened() == [])
        #expect(bench.connect(isOpen: false) == ["open"])
        #expect(bench.opened() == ["authenticate 1"])
        #expect(bench.connect(isOpen: true) == [])
        #expect(bench.authenticated(1, ["token": "x"]) == [#"0{"token":"x"}"#])
        #expect(bench.joined("id") == ["connect"])
        #expect(bench.connect(isOpen: true) == [])
    }

    @Test func aRefusalIsTheEnd() {
        let bench = Bench()
        _ = bench.connect(isOpen: true)
        _ = bench.authenticated(1)
        #expect(bench.receive(.connectError(["message": "no", "data": 1])) == ["inactive", "connect_error: no"])
        #expect(bench.joined("id") == [] && bench.opened() == [] && bench.lose() == [])
        #expect(bench.connect(isOpen: true) == ["authenticate 3"])
    }

    @Test func anAnswerOfTheOldProtocolIsTheEnd() {
        let bench = Bench()
        _ = bench.connect(isOpen: true)
        let actions = bench.receive(.connect(nil))
        #expect(actions.first?.hasPrefix("connect_error: the server answered without a sid") == true)
        #expect(actions.dropFirst() == ["inactive"])
        #expect(bench.state == .disconnected(nil))
    }

    @Test func aJoinThatIsTakenBack() {
        let bench = Bench()
        _ = bench.connect(isOpen: true)
        _ = bench.authenticated(1, ["n": 1])
        #expect(bench.disconnect() == ["inactive"])
        // The server learns of it once it has let this socket in.
        #expect(bench.event("early") == [])
        #expect(bench.joined("id") == ["1"])
        #expect(bench.joined("id") == [])
    }

    @Test(arguments: [true, false]) func aJoinThatIsTakenBackAndMadeAgain(isAccepted: Bool) {
        let bench = Bench()
        _ = bench.connect(isOpen: true)
        _ = bench.authenticated(1, ["n": 1])
        _ = bench.disconnect()
        #expect(bench.connect(isOpen: true) == [])
        #expect(bench.state == .connecting)
        if isAccepted {
            #expect(bench.joined("id") == ["1", "authenticate 5"])
        } else {
            #expect(bench.receive(.connectError(["message": "no"])) == ["authenticate 5"])
        }
        #expect(bench.authenticated(5, ["n": 2]) == [#"0{"n":2}"#])
        #expect(bench.joined("id2") == ["connect"])
        // With the connection goes what was due on it.
        _ = bench.disconnect()
        _ = bench.connect(isOpen: true)
        _ = bench.authenticated(8)
        _ = bench.disconnect()
        _ = bench.lose()
        _ = bench.connect(isOpen: true)
        #expect(bench.authenticated(11) == ["0"])
        #expect(bench.joined("id3") == ["connect"])
    }

    @Test func aDisconnectForTheSocketBefore() {
        let bench = Bench.connected()
        _ = bench.disconnect()
        _ = bench.connect(isOpen: true)
        _ = bench.authenticated(4)
        // It crossed this socket's own.
        #expect(bench.receive(.disconnect) == [])
        #expect(bench.joined("id2") == ["connect"])
    }

    @Test func anAuthThatFailsIsRepeated() {
        let bench = Bench()
        _ = bench.connect(isOpen: true)
        #expect(bench.notAuthenticated(1) == ["connect_error: no token", "authenticate 1 after 1.0 seconds"])
        #expect(bench.authenticateAgain(1) == ["authenticate 1"])
        #expect(bench.notAuthenticated(1) == ["connect_error: no token", "authenticate 1 after 2.0 seconds"])
        // The connection is another by then.
        _ = bench.lose()
        #expect(bench.authenticateAgain(1) == [])
        #expect(bench.opened() == ["authenticate 3"])
        #expect(bench.authenticated(1) == [])
    }

    @Test func noConnection() {
        let bench = Bench()
        #expect(bench.fail() == [])
        _ = bench.connect(isOpen: false)
        #expect(bench.fail() == ["connect_error: refused"])
        #expect(bench.opened() == ["authenticate 1"])
    }

    // MARK: Disconnecting

    @Test func theServerDisconnects() {
        let bench = Bench.connected()
        #expect(bench.receive(.disconnect) == ["disconnect: io server disconnect", "inactive"])
        #expect(bench.opened() == [])
    }

    @Test func theServerDisconnectsBeforeItAnswers() {
        let bench = Bench()
        _ = bench.connect(isOpen: true)
        _ = bench.authenticated(1)
        // It is about this socket, as there was none before on this connection: a connection that ends behind it brings no other.
        #expect(bench.receive(.disconnect) == ["inactive"])
        #expect(bench.state == .disconnected(.ioServerDisconnect))
        #expect(bench.lose() == [] && bench.opened() == [])
        // One that crossed a disconnect of an earlier connection can not come any more.
        let other = Bench.connected()
        _ = other.disconnect()
        _ = other.lose()
        _ = other.connect(isOpen: true)
        _ = other.authenticated(4)
        #expect(other.receive(.disconnect) == ["inactive"])
        // Only one crosses one.
        let third = Bench.connected()
        _ = third.disconnect()
        _ = third.connect(isOpen: true)
        _ = third.authenticated(4)
        #expect(third.receive(.disconnect) == [])
        #expect(third.receive(.disconnect) == ["inactive"])
    }

    @Test func whatIsNotForAServerIsWithheld() {
        let bench = Bench()
        _ = bench.connect(isOpen: true)
        #expect(bench.withheld(2) == [])
        #expect(bench.withheld(1) == ["connect_error: elsewhere", "inactive"])
        #expect(bench.state == .disconnected(nil))
        #expect(bench.authenticated(1) == [])
    }

    @Test func thisProgramDisconnects() {
        let bench = Bench.connected()
        #expect(bench.disconnect() == ["1", "disconnect: io client disconnect", "inactive"])
        #expect(bench.disconnect() == [])
        let joining = Bench()
        _ = joining.connect(isOpen: true)
        #expect(joining.disconnect() == ["inactive"])
    }

    @Test func aLostConnectionIsJoinedAgain() {
        let bench = Bench.connected()
        #expect(bench.lose(.pingTimeout) == ["disconnect: ping timeout"])
        #expect(bench.lose() == [])
        #expect(bench.opened() == ["authenticate 4"])
    }

    // MARK: Events

    @Test func eventsAndTheirAnswers() {
        let bench = Bench.connected()
        #expect(bench.event("a") == ["event a"])
        #expect(bench.event("b", id: 7) == ["event b 7"])
        #expect(bench.acknowledge(7, epoch: 1) == [#"37["yes"]"#])
        // An answer to an event of an earlier connection is no answer to one of this.
        _ = bench.reconnect("id2")
        #expect(bench.acknowledge(7, epoch: 1) == [])
    }

    @Test func emitting() {
        let bench = Bench.connected()
        #expect(bench.emit("a") == [#"2["a"]"#])
        #expect(bench.emit("b", ack: true) == [#"20["b"]"#])
        #expect(bench.emit("c", ack: true, timeout: .seconds(1)) == ["arm 1 1.0 seconds", #"21["c"]"#])
        #expect(bench.ack(0, "x") == [#"answer ["x"]"#])
        #expect(bench.ack(0, "again") == [] && bench.ack(99) == [])
        #expect(bench.timeOut(1) == ["answer: no acknowledgement came in time"])
        #expect(bench.ack(1) == [])
        #expect(bench.emit("d", ack: true) == [#"22["d"]"#])
        #expect(bench.lose() == ["disconnect: transport close", "answer: the socket has been disconnected"])
    }

    @Test func cancelling() {
        let bench = Bench.connected()
        _ = bench.emit("a", ack: true)
        #expect(bench.forget(1) == [])
        #expect(bench.ack(0) == [])
        _ = bench.lose()
        _ = bench.emit("b", ack: true)
        _ = bench.emit("c")
        _ = bench.forget(2)
        _ = bench.opened()
        #expect(bench.authenticateAndJoin("id2") == [#"2["c"]"#, "connect"])
    }

    // MARK: Without a connection

    @Test func whatIsEmittedIsKept() {
        let bench = Bench()
        #expect(bench.emit("a") == [])
        #expect(bench.emit("b", ack: true) == [])
        #expect(bench.emit("v", volatile: true) == [])
        #expect(bench.emit("w", ack: true, volatile: true) == ["answer: the event could not be sent"])
        _ = bench.connect(isOpen: true)
        _ = bench.authenticated(1)
        #expect(bench.joined("id") == [#"2["a"]"#, #"20["b"]"#, "connect"])
        #expect(bench.emit("v", volatile: true) == [#"2["v"]"#])
        #expect(bench.emit("v", volatile: true, isWritable: false) == [])
        // Nobody has heard the server for too long: it is kept for the next connection.
        #expect(bench.emit("c", isAlive: false) == [])
        #expect(bench.reconnect("id2") == [#"2["c"]"#, "connect"])
    }

    @Test func whatIsKeptIsAnsweredLater() {
        let bench = Bench.connected()
        _ = bench.lose()
        #expect(bench.emit("a", ack: true) == [])
        #expect(bench.emit("b", ack: true, timeout: .seconds(1)) == ["arm 1 1.0 seconds"])
        #expect(bench.timeOut(1) == ["answer: no acknowledgement came in time"])
        _ = bench.opened()
        #expect(bench.authenticateAndJoin("id2") == [#"20["a"]"#, "connect"])
    }

    @Test func theBufferIsLimited() {
        let bench = Bench { $0.sendBuffer = SocketIOSendBuffer(maxCount: 2) }
        _ = (bench.emit("a"), bench.emit("b"))
        #expect(bench.emit("c") == ["overflow"])
        #expect(bench.emit("d", ack: true) == ["overflow", "answer: the event could not be sent"])
        let small = Bench { $0.sendBuffer = SocketIOSendBuffer(maxBytes: 300) }
        #expect(small.emit("a") == [] && small.emit("b") == [])
        #expect(small.emit("c") == ["overflow"])
    }

    @Test func theOldestAreDroppedIfAsked() {
        let bench = Bench { $0.sendBuffer = SocketIOSendBuffer(maxCount: 2, policy: .dropOldest) }
        _ = (bench.emit("a", ack: true), bench.emit("b"))
        #expect(bench.emit("c") == ["overflow", "answer: the event could not be sent"])
        _ = bench.connect(isOpen: true)
        #expect(bench.authenticateAndJoin("id") == [#"2["b"]"#, #"2["c"]"#, "connect"])
    }

    @Test func givingUpAnswersEverybody() {
        let bench = Bench { $0.retries = 3 }
        #expect(bench.emit("a", ack: true) == [])
        #expect(bench.abandon() == ["answer: the socket has been disconnected"])
        let plain = Bench()
        _ = plain.emit("a", ack: true)
        #expect(plain.abandon() == ["answer: the socket has been disconnected"])
    }

    // MARK: Recovery

    @Test func recovery() {
        let bench = Bench.connected(pid: "p")
        _ = bench.event("a", "offset1")
        _ = bench.lose()
        _ = bench.opened()
        #expect(bench.authenticated(3, ["token": "x"]) == [#"0{"pid":"p","offset":"offset1","token":"x"}"#])
        // What was missed comes before the answer.
        #expect(bench.event("b", "offset2") == [])
        #expect(bench.joined("id", pid: "p") == ["event b", "connect"])
        _ = bench.lose()
        _ = bench.opened()
        #expect(bench.event("c", "offset3") == [])
        // What was kept when the connection was lost again is sent again.
        _ = bench.lose()
        _ = bench.opened()
        #expect(bench.authenticated(7) == [#"0{"pid":"p","offset":"offset2"}"#])
        #expect(bench.joined("id", pid: "p") == ["connect"])
    }

    @Test func whatAsksForAnAcknowledgementHasNoOffset() {
        let bench = Bench.connected(pid: "p")
        _ = bench.event("a", "offset1")
        _ = bench.event("b", "an argument", id: 3)
        _ = bench.lose()
        _ = bench.opened()
        #expect(bench.authenticated(3) == [#"0{"pid":"p","offset":"offset1"}"#])
    }

    @Test func whatIsKeptUntilConnectedIsLimited() {
        let bench = Bench { $0.maxPendingBytes = 10 }
        _ = bench.connect(isOpen: true)
        #expect(bench.receive(.event(["a"], id: nil), size: 10) == [])
        #expect(bench.receive(.event(["b"], id: nil), size: 1) == ["flooded"])
    }

    // MARK: Retries

    @Test func oneAtATimeAndInOrder() {
        let bench = Bench.connected { ($0.retries, $0.ackTimeout) = (2, .seconds(1)) }
        #expect(bench.emit("a", ack: true) == ["arm 0 1.0 seconds", #"20["a"]"#])
        #expect(bench.emit("b") == [])
        #expect(bench.emit("v", volatile: true) == [#"2["v"]"#])
        #expect(bench.ack(0, "ok") == [#"answer ["ok"]"#, "arm 1 1.0 seconds", #"21["b"]"#])
        #expect(bench.ack(1) == [])
    }

    @Test func anEventIsSentAgain() {
        let bench = Bench.connected { $0.retries = 2 }
        #expect(bench.emit("a", ack: true) == ["arm 0 10.0 seconds", #"20["a"]"#])
        _ = bench.emit("b")
        #expect(bench.timeOut(0) == ["arm 1 10.0 seconds", #"21["a"]"#])
        // The answer to the first try is late; that to the second counts.
        #expect(bench.ack(0) == [])
        #expect(bench.ack(1, "ok") == [#"answer ["ok"]"#, "arm 2 10.0 seconds", #"22["b"]"#])
        #expect(bench.timeOut(2) == ["arm 3 10.0 seconds", #"23["b"]"#])
        #expect(bench.timeOut(3) == ["arm 4 10.0 seconds", #"24["b"]"#])
        #expect(bench.timeOut(4) == [])
    }

    @Test func anEventOutlivesItsConnection() {
        let bench = Bench.connected { $0.retries = 2 }
        _ = bench.emit("a", ack: true)
        _ = bench.emit("b")
        #expect(bench.lose() == ["disconnect: transport close"])
        _ = bench.opened()
        #expect(bench.authenticateAndJoin("id2") == ["arm 1 10.0 seconds", #"21["a"]"#, "connect"])
        #expect(bench.ack(1) == ["answer []", "arm 2 10.0 seconds", #"22["b"]"#])
    }

    @Test func anEventIsGivenUp() {
        let bench = Bench.connected { $0.retries = 0 }
        _ = bench.emit("a", ack: true)
        _ = bench.emit("b", ack: true)
        #expect(bench.timeOut(0) == ["answer: no acknowledgement came in time", "arm 1 10.0 seconds", #"21["b"]"#])
    }

    @Test func theQueueIsLimited() {
        let bench = Bench { ($0.retries, $0.sendBuffer.maxCount) = (1, 1) }
        _ = bench.emit("a")
        #expect(bench.emit("b", ack: true) == ["overflow", "answer: the event could not be sent"])
    }
}

// A client's session, packet by packet: EngineIOClientMachine.swift. Its upgrade is tested in EngineIOClientMachineUpgradeTests.swift.

import NIOCore
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

/// A client's machine, and what it asks for, as text.
final class ClientMachineBench {
    static let open = #"{"sid":"s1","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":20}"#

    var machine: EngineIOClientMachine
    fileprivate(set) var now = Timestamp(nanoseconds: 1_000_000_000)

    init(_ transports: [EngineIOTransport] = [.polling], _ adjust: (inout EngineIOClientConfiguration) -> Void = { _ in }) {
        var configuration = EngineIOClientConfiguration(transports: transports)
        adjust(&configuration)
        machine = EngineIOClientMachine(configuration)
    }

    /// A machine whose session is open, on long-polling with a poll under way or on WebSocket.
    static func open(
        _ transports: [EngineIOTransport] = [.polling], _ adjust: (inout EngineIOClientConfiguration) -> Void = { _ in }
    ) -> ClientMachineBench {
        let bench = ClientMachineBench(transports, adjust)
        _ = bench.start()
        _ = transports.first == .polling ? bench.polled("0" + open) : bench.receive("0" + open)
        return bench
    }

    // MARK: Events

    func start(prefersWebSocket: Bool = false) -> [String] {
        machine.start(at: now, prefersWebSocket: prefersWebSocket)
        return done()
    }

    func polled(_ packets: String..., link: Int? = nil) -> [String] {
        machine.polled(link ?? machine.link, packets.map(Self.packet), at: now)
        return done()
    }

    func posted() -> [String] {
        machine.posted(machine.link, at: now)
        return done()
    }

    func receive(_ packet: String, link: Int? = nil) -> [String] {
        machine.received(link ?? machine.link, Self.packet(packet), at: now)
        return done()
    }

    func socketOpened(_ link: Int) -> [String] {
        machine.socketOpened(link)
        return done()
    }

    func fail(_ kind: EngineIOClientError.Kind, link: Int? = nil) -> [String] {
        machine.failed(link ?? machine.link, EngineIOClientError(kind))
        return done()
    }

    func send(_ texts: String...) -> [String] {
        _ = machine.send(texts.map { .message(.text($0)) }, at: now)
        return done()
    }

    func close() -> [String] {
        machine.close(at: now)
        return done()
    }

    func wait(_ time: Duration) -> [String] {
        now = now.advanced(by: time)
        machine.timerFired(at: now)
        return done()
    }

    private static func packet(_ text: String) -> EngineIOPacket {
        (try? EngineIOPacket(utf8: ByteBuffer(string: text))) ?? EngineIOPacket(.noop)
    }

    // What is asked of it, as `#expect` wants a copy of what it looks into.
    var link: Int { machine.link }
    var transport: EngineIOTransport { machine.transport }
    var isWritable: Bool { machine.isWritable }
    var opening: EngineIOOpening? { machine.opening }
    var nextDeadline: Timestamp? { machine.nextDeadline }
    func takesMessages() -> Bool { machine.send([], at: now) }

    // MARK: What it asks for

    func done() -> [String] { machine.takeActions().compactMap(Self.text) }

    private static func text(_ action: EngineIOClientMachine.Action) -> String? {
        switch action {
        case .poll(let link): "poll \(link)"
        case .post(let link, let packets): "post \(link) \(text(packets))"
        case .openSocket(let link): "socket \(link)"
        case .send(let link, let packets): "send \(link) \(text(packets))"
        case .drop(let link, let gracefully): "drop \(link)\(gracefully ? " gracefully" : "")"
        case .opened(let opening): "opened \(opening.sid)"
        case .received(let message): "received \(message.text ?? "\(Array(message.payload.readableBytesView))")"
        case .upgraded: "upgraded"
        case .upgradeFailed: "upgrade failed"
        case .remember: nil
        case .closed(let closure, let error): "closed: \(closure.reason)\(error.map { " (\($0.kind.rawValue))" } ?? "")"
        }
    }

    private static func text(_ packets: [Outgoing]) -> String {
        packets.map { packet in
            var bytes = ByteBuffer()
            packet.writeText(to: &bytes)
            return String(buffer: bytes)
        }.joined(separator: "|")
    }
}

@Suite struct EngineIOClientMachineTests {
    // MARK: Opening

    @Test func opensByPolling() {
        let bench = ClientMachineBench()
        #expect(bench.start() == ["poll 1"])
        #expect(bench.polled("0" + ClientMachineBench.open, "4hello") == ["opened s1", "received hello", "poll 1"])
        #expect(bench.opening?.pingInterval == .milliseconds(300))
        #expect(bench.start() == [])
    }

    @Test func opensByWebSocket() {
        let bench = ClientMachineBench([.webSocket])
        #expect(bench.start() == ["socket 1"])
        #expect(bench.socketOpened(1) == [])
        #expect(bench.receive("0" + ClientMachineBench.open) == ["opened s1"])
        #expect(bench.receive("4hello") == ["received hello"])
    }

    @Test func beginsWithWhatWorkedTheLastTime() {
        #expect(ClientMachineBench([.polling, .webSocket]).start(prefersWebSocket: true) == ["socket 1"])
        #expect(ClientMachineBench([.polling]).start(prefersWebSocket: true) == ["poll 1"])
    }

    @Test(arguments: [
        "4hello", "2", "0", "0{}", #"0{"sid":"","pingInterval":1,"pingTimeout":1}"#,
        #"0{"sid":"a","pingInterval":-1,"pingTimeout":1}"#,
    ])
    func whatComesFirstIsAHandshake(packet: String) {
        let bench = ClientMachineBench()
        _ = bench.start()
        #expect(bench.polled(packet) == ["drop 1", "closed: transport error (invalid handshake)"])
    }

    @Test func anEmptyFirstAnswerIsNone() {
        let bench = ClientMachineBench()
        _ = bench.start()
        #expect(bench.polled() == ["drop 1", "closed: transport error (invalid handshake)"])
    }

    @Test func triesAllTransports() {
        let bench = ClientMachineBench([.webSocket, .polling]) { $0.triesAllTransports = true }
        #expect(bench.start() == ["socket 1"])
        #expect(bench.fail(.webSocket) == ["drop 1", "poll 2"])
        // News of the first try is late.
        #expect(bench.fail(.webSocket, link: 1) == [])
        #expect(bench.fail(.poll) == ["drop 2", "closed: transport error (poll error)"])
    }

    @Test func triesOneTransportUnlessTold() {
        let bench = ClientMachineBench([.webSocket, .polling])
        _ = bench.start()
        #expect(bench.fail(.webSocket) == ["drop 1", "closed: transport error (websocket error)"])
    }

    @Test func noTransportIsAMistake() {
        #expect(ClientMachineBench([]).start() == ["drop 0", "closed: transport error (usage)"])
    }

    @Test func openingHasALimit() {
        let bench = ClientMachineBench { $0.timeout = .seconds(3) }
        _ = bench.start()
        #expect(bench.wait(.milliseconds(2999)) == [])
        #expect(bench.wait(.milliseconds(1)) == ["drop 1", "closed: transport error (timeout)"])
        #expect(bench.nextDeadline == nil)
    }

    // MARK: Sending

    @Test func onePostAtATime() {
        let bench = ClientMachineBench.open()
        #expect(bench.send("a", "b") == ["post 1 4a|4b"])
        #expect(!bench.isWritable)
        #expect(bench.send("c") == [])
        #expect(bench.send("d") == [])
        #expect(bench.posted() == ["post 1 4c|4d"])
        #expect(bench.posted() == [])
        #expect(bench.isWritable)
    }

    @Test func aPostKeepsToMaxPayload() {
        let bench = ClientMachineBench.open()
        _ = bench.send("first")
        // 20 bytes at most: 9 + 1 + 10 fit, one more does not; what is too large by itself is sent by itself.
        _ = bench.send("12345678", "123456789", "x", "a message of over 20 bytes", "y")
        #expect(bench.posted() == ["post 1 412345678|4123456789"])
        #expect(bench.posted() == ["post 1 4x"])
        #expect(bench.posted() == ["post 1 4a message of over 20 bytes"])
        #expect(bench.posted() == ["post 1 4y"])
    }

    @Test func aPostHoldsOnlySoManyPackets() {
        let bench = ClientMachineBench.open { $0.maxPacketsPerPost = 2 }
        _ = bench.send("0")
        _ = bench.send("1", "2", "3")
        #expect(bench.posted() == ["post 1 41|42"])
        #expect(bench.posted() == ["post 1 43"])
    }

    @Test func aWebSocketTakesAllAtOnce() {
        let bench = ClientMachineBench.open([.webSocket])
        #expect(bench.send("a", "b") == ["send 1 4a|4b"])
    }

    @Test func whatWaitsIsLimited() {
        let bench = ClientMachineBench.open { $0.maxBufferedBytes = 200 }
        _ = bench.send("1")
        #expect(bench.send("2", "3", "4") == [])
        #expect(bench.send("5") == ["drop 1", "closed: transport error (send buffer full)"])
        #expect(!bench.takesMessages())
    }

    // MARK: Heartbeat

    @Test func aPingIsAnswered() {
        let bench = ClientMachineBench.open()
        #expect(bench.polled("2") == ["post 1 3", "poll 1"])
        let other = ClientMachineBench.open([.webSocket])
        #expect(other.receive("2") == ["send 1 3"])
    }

    @Test func silenceEndsTheSession() {
        let bench = ClientMachineBench.open([.webSocket])
        #expect(bench.wait(.milliseconds(499)) == [])
        #expect(bench.receive("4sign of life") == ["received sign of life"])
        #expect(bench.wait(.milliseconds(499)) == [])
        #expect(bench.wait(.milliseconds(1)) == ["drop 1", "closed: ping timeout (ping timeout)"])
    }

    @Test func aDeviceThatHasSleptFindsOutWhenItSends() {
        let bench = ClientMachineBench.open([.webSocket])
        bench.sleep(.seconds(60))
        #expect(bench.send("a") == ["drop 1", "closed: ping timeout (ping timeout)"])
    }

    // MARK: Ending

    @Test func theServerCloses() {
        #expect(ClientMachineBench.open().polled("4a", "1", "4b") == ["received a", "drop 1", "closed: transport close"])
        #expect(ClientMachineBench.open([.webSocket]).fail(.webSocketClosed) == ["drop 1", "closed: transport close (websocket closed)"])
    }

    @Test func failuresEndTheSession() {
        #expect(ClientMachineBench.open().fail(.post) == ["drop 1", "closed: transport error (post error)"])
        #expect(ClientMachineBench.open([.webSocket]).fail(.invalidPacket) == ["drop 1", "closed: parse error (invalid packet)"])
        #expect(ClientMachineBench.open().fail(.poll, link: 7) == [])
    }

    @Test func closingSendsWhatIsLeft() {
        let bench = ClientMachineBench.open()
        _ = bench.send("a")
        _ = bench.send("b")
        #expect(bench.close() == [])
        #expect(bench.send("late") == [])
        #expect(bench.posted() == ["post 1 4b"])
        #expect(bench.polled("4c") == ["received c", "poll 1"])
        #expect(bench.posted() == ["post 1 1", "drop 1 gracefully", "closed: forced close"])
        #expect(bench.close() == [])
    }

    @Test func closingAtOnce() {
        #expect(ClientMachineBench.open().close() == ["post 1 1", "drop 1 gracefully", "closed: forced close"])
        #expect(ClientMachineBench.open([.webSocket]).close() == ["drop 1 gracefully", "closed: forced close"])
        let opening = ClientMachineBench()
        _ = opening.start()
        #expect(opening.close() == ["drop 1 gracefully", "closed: forced close"])
        #expect(ClientMachineBench().close() == [])
    }

    @Test func closingHasALimit() {
        let bench = ClientMachineBench.open { $0.closeTimeout = .seconds(5) }
        _ = bench.send("a")
        #expect(bench.close() == [])
        #expect(bench.wait(.seconds(5)) == ["drop 1 gracefully", "closed: forced close"])
    }
}

extension ClientMachineBench {
    /// Time passes, and nobody looks.
    func sleep(_ time: Duration) { now = now.advanced(by: time) }
}

// A session's machine with requests and sockets that are names, a clock that the test turns, and what it asks for as text.

import NIOCore
import WebSocketCore
import WebSockets

@testable import EngineIO

/// A request or a socket that does nothing.
final class Name: Sendable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A machine, and what it has asked for.
final class MachineBench {
    typealias Machine = SessionMachine<Name, Name>

    var machine: Machine
    var now = Timestamp(nanoseconds: 1_000_000_000_000)
    private let handshake = Name("handshake")

    init(_ adjust: (inout EngineIOConfiguration) -> Void = { _ in }) {
        var configuration = EngineIOConfiguration()
        adjust(&configuration)
        machine = Machine(SessionSettings(configuration))
    }

    /// One on long-polling, whose handshake is done.
    static func polling(_ adjust: (inout EngineIOConfiguration) -> Void = { _ in }) -> MachineBench {
        let bench = MachineBench(adjust)
        bench.machine.open(polling: bench.handshake, EngineIOPacket(.open, "{}"), at: bench.now)
        _ = bench.done()
        return bench
    }

    /// One on a WebSocket, whose handshake is done.
    static func webSocket(_ socket: Name, _ adjust: (inout EngineIOConfiguration) -> Void = { _ in }) -> MachineBench {
        let bench = MachineBench(adjust)
        bench.machine.open(webSocket: socket, EngineIOPacket(.open, "{}"), at: bench.now)
        _ = bench.done()
        return bench
    }

    /// What it has asked for since this was last asked.
    func done() -> [String] { machine.takeActions().map(Self.text) }

    private static func text(_ action: Machine.Action) -> String {
        switch action {
        case .opened: "opened"
        case .received(let message): "received \(text(message))"
        case .upgraded: "upgraded"
        case .closed(let closure): "closed: \(closure.reason)"
        case .respond(let exchange, .packets(let packets)): "\(exchange) <- \(text(packets))"
        case .respond(let exchange, .ok): "\(exchange) <- ok"
        case .respond(let exchange, .badRequest): "\(exchange) <- 400"
        case .send(let socket, let packets): "\(socket) <- \(text(packets))"
        case .closeSocket(let socket): "close \(socket)"
        }
    }

    private static func text(_ message: Message) -> String { message.text ?? "\(Array(message.payload.readableBytesView))" }

    private static func text(_ packets: [Outgoing]) -> String {
        String(buffer: Outgoing.payload(packets)).split(separator: "\u{1E}", omittingEmptySubsequences: false).joined(separator: "|")
    }

    // What is asked of it, as `#expect` wants a copy of what it looks into.
    var phase: Machine.Phase { machine.phase }
    var isWritable: Bool { machine.isWritable }
    var isUpgrading: Bool { machine.isUpgrading }
    var nextDeadline: Timestamp? { machine.nextDeadline }
    var directSocket: Name? { machine.directSocket }

    // MARK: Events, and what they cause

    func beginPost(_ name: Name, isBinary: Bool = false) -> Bool { machine.postBegan(name, isBinary: isBinary, at: now) }

    func pass(_ duration: Duration) -> [String] {
        now = now.advanced(by: duration)
        machine.timerFired(at: now)
        return done()
    }

    func send(_ text: String...) -> [String] {
        _ = machine.send(text.map { .message(.text($0)) }, at: now)
        return done()
    }

    func poll(_ name: Name) -> [String] {
        machine.poll(name, at: now)
        return done()
    }

    /// A POST of packets, from its begin to its end.
    func post(_ name: Name, _ packets: EngineIOPacket...) -> [String] {
        guard machine.postBegan(name, isBinary: false, at: now) else { return done() }
        for packet in packets { machine.received(packet, from: name, at: now) }
        machine.postEnded(name, nil)
        return done()
    }

    func attach(_ socket: Name) -> [String] {
        machine.attach(socket, at: now)
        return done()
    }

    func receive(_ packet: EngineIOPacket, on socket: Name) -> [String] {
        machine.received(.success(packet), on: socket, at: now)
        return done()
    }

    func close(discards: Bool = false) -> [String] {
        machine.close(.forcedClose, discards: discards, at: now)
        return done()
    }
}

extension EngineIOPacket {
    static let probe = EngineIOPacket(.ping, "probe")
    static func message(_ text: String) -> EngineIOPacket { EngineIOPacket(.message, text) }
}

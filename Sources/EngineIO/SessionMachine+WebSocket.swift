// A session's WebSocket, and the way to it: Engine.IO protocol 4, "Upgrade". The rules are in SessionMachine.swift.

import DequeModule
import NIOCore
import WebSocketCore

extension SessionMachine {
    /// A WebSocket comes to a session that is on long-polling.
    ///
    /// > A client MUST NOT open more than one WebSocket connection per session. Should it happen, the server MUST close the WebSocket
    /// > connection.
    mutating func attach(_ newcomer: Socket, at now: Timestamp) {
        guard phase == .open || phase == .closing, socket == nil, probe == nil else { return actions.append(.closeSocket(newcomer)) }
        probe = Probe(newcomer, deadline: now.advanced(by: settings.upgradeTimeout))
    }

    /// A packet of a WebSocket; `error` if it is none.
    mutating func received(_ packet: Result<EngineIOPacket, EngineIOError>, on socket: Socket, at now: Timestamp) {
        if socket === self.socket {
            switch packet {
            case .success(let packet): take(packet, at: now)
            case .failure(let error): if phase == .open { end(.parseError, error.description) }
            }
        } else if let probe, probe.socket === socket {
            takeProbe(try? packet.get(), probe, at: now)
        }
    }

    private mutating func takeProbe(_ packet: EngineIOPacket?, _ probe: Probe, at now: Timestamp) {
        switch packet?.type {
        case .ping where packet?.isProbe == true:
            actions.append(.send(probe.socket, [.control(EngineIOPacket(.pong, "probe"))]))
            probe.nextNoop = now.advanced(by: settings.noopInterval)
        case .upgrade: upgrade(to: probe.socket, at: now)
        default: abandonProbe()
        }
    }

    private mutating func upgrade(to socket: Socket, at now: Timestamp) {
        probe = nil
        self.socket = socket
        lastHeard = now
        // A correct client has none: it waits for the noop's answer before it upgrades.
        if let poll = poll.take() { actions.append(.respond(poll, .packets([.control(EngineIOPacket(.noop))]))) }
        actions.append(.upgraded)
        if !queue.isEmpty { actions.append(.send(socket, Array(queue))) }
        queue = Deque()
        queuedBytes = 0
        if phase == .closing { end(.forcedClose) }
    }

    mutating func abandonProbe() {
        guard let probe = probe.take() else { return }
        actions.append(.closeSocket(probe.socket))
    }

    /// A WebSocket has ended.
    mutating func socketEnded(_ socket: Socket, _ closure: EngineIOClosure) {
        if socket === self.socket {
            end(closure.reason, closure.detail)
        } else if probe?.socket === socket {
            probe = nil
        }
    }

    mutating func checkProbe(at now: Timestamp) {
        guard let probe else { return }
        if now >= probe.deadline { return abandonProbe() }
        guard let noop = probe.nextNoop, now >= noop else { return }
        probe.nextNoop = now.advanced(by: settings.noopInterval)
        // > send a `noop` packet to any pending `GET` request (if applicable) to cleanly close HTTP long-polling transport
        if let poll = poll.take() { actions.append(.respond(poll, .packets([.control(EngineIOPacket(.noop))]))) }
    }
}

extension EngineIOPacket {
    fileprivate var isProbe: Bool { payload.readableBytesView.elementsEqual("probe".utf8) }
}

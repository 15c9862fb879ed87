// An event as handlers get it, and what answers it: Socket.IO protocol 5, "Acknowledgement".

import Synchronization

/// An event that has arrived.
public struct SocketIOEvent: Sendable {
    /// The name and the arguments, as they came.
    let values: [SocketIOValue]
    /// Answers the event; nil if the client asked for no answer.
    public let acknowledgement: SocketIOAcknowledgement?

    /// The name; a number's as JavaScript writes it.
    public var name: String { values.first?.eventName ?? "" }
    /// The arguments.
    public var arguments: ArraySlice<SocketIOValue> { values.dropFirst() }

    /// Decodes the arguments; see `SocketIOArguments.decode`.
    ///
    /// - Throws: `SocketIOArgumentError` that says which argument does not fit, and why.
    public func decode<each Argument: Decodable>(
        as types: repeat (each Argument).Type
    ) throws(SocketIOArgumentError) -> (repeat each Argument) {
        try SocketIOArguments.decode(arguments, as: repeat each types)
    }

    /// Answers the event, if the client asked for an answer and has none yet.
    public func acknowledge(with arguments: [SocketIOValue]) { acknowledgement?.send(arguments) }

    /// Answers the event, if the client asked for an answer and has none yet.
    public func acknowledge<each Argument: Encodable>(_ arguments: repeat each Argument) throws(SocketIOArgumentError) {
        guard let acknowledgement else { return }
        acknowledgement.send(try SocketIOArguments.encode(repeat each arguments))
    }
}

/// Answers one event, once; from any thread.
public final class SocketIOAcknowledgement: Sendable {
    /// Whose event it answers; no protocol, which would be a call through a table.
    private enum Path {
        case toClient(SocketIOSocket)
        case toServer(SocketIOClientSocket, epoch: Int)
    }

    private let path: Path
    private let id: Int
    private let isSent = Atomic<Bool>(false)

    init(_ socket: SocketIOSocket, id: Int) {
        path = .toClient(socket)
        self.id = id
    }

    init(_ socket: SocketIOClientSocket, id: Int, epoch: Int) {
        path = .toServer(socket, epoch: epoch)
        self.id = id
    }

    /// Answers; nothing happens if there was an answer before, or the socket is gone.
    public func send(_ arguments: [SocketIOValue]) {
        guard !isSent.exchange(true, ordering: .relaxed) else { return }
        switch path {
        case .toClient(let socket): socket.send(SocketIOPacket(namespace: socket.namespace.name, content: .ack(arguments, id: id)))
        case .toServer(let socket, let epoch): socket.acknowledge(arguments, id: id, epoch: epoch)
        }
    }
}

// A socket as other nodes see it.

import EngineIO
import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import WebSockets

/// A socket of any node: what is known of it, and what can be asked of it.
public struct SocketIORemoteSocket: Sendable {
    /// Its id.
    public let id: String
    /// The rooms that it is in, its own among them.
    public let rooms: Set<String>
    /// What was kept with it (`setData`), as values; null if nothing was.
    public let data: SocketIOValue
    /// How it came: `headers`, `time`, `address`, `secure`, `issued`, `url`, `query` and `auth`, as Node's adapters send it.
    public let handshake: SocketIOValue
    private let namespace: SocketIONamespace

    /// Describes a socket of another node.
    public init(id: String, rooms: Set<String>, data: SocketIOValue, handshake: SocketIOValue, namespace: SocketIONamespace) {
        self.id = id
        self.rooms = rooms
        self.data = data
        self.handshake = handshake
        self.namespace = namespace
    }

    init(_ socket: SocketIOSocket) {
        let data = socket.state.withLockedValue { $0.rare?.data }
        self.init(
            id: socket.id, rooms: socket.rooms, data: data.flatMap { try? ValueEncoder().encode($0) } ?? .null,
            handshake: Self.described(socket.handshake), namespace: socket.namespace)
    }

    private static func described(_ handshake: SocketIOHandshake) -> SocketIOValue {
        var headers = SocketIOObject()
        for field in handshake.headers { headers[field.name.rawName.lowercased()] = .string(field.value) }
        var query = SocketIOObject()
        for (name, value) in handshake.query.sorted(by: { $0.key < $1.key }) { query[name] = .string(value) }
        return [
            "headers": .object(headers), "address": .string(handshake.address?.ipAddress ?? ""), "secure": .bool(handshake.isSecure),
            "issued": .int(Int(handshake.issued)), "url": .string(handshake.connection.request.head.path ?? ""),
            "query": .object(query), "auth": handshake.auth,
        ]
    }

    /// The value that was kept with the socket; nil if there is none, or it is of another type, as `SocketIOSocket.data(as:)` has it. What
    /// there is in that case stands in `data`.
    public func data<T: Decodable>(as type: T.Type = T.self) -> T? {
        data == .null ? nil : try? ValueDecoder().decode(type, from: data)
    }

    private var target: SocketIOBroadcast { namespace.to(id) }

    /// Sends it an event.
    public func emit<each Argument: Encodable>(_ event: String, _ arguments: repeat each Argument) {
        target.emit(event, repeat each arguments)
    }
    /// Puts it into rooms.
    public func join(_ rooms: String...) { target.socketsJoin(rooms) }
    /// Takes it out of a room.
    public func leave(_ room: String) { target.socketsLeave([room]) }
    /// Has it leave the namespace.
    public func disconnect(closingConnection: Bool = false) { target.disconnectSockets(closingConnection: closingConnection) }
}

// What joins Socket.IO's rooms of several nodes, on the command line.

import ArgumentParser
import RedisPubSub
import RedisSocketIO
import SocketIO

/// The names of the adapters.
enum RedisAdapterArgument: String, ExpressibleByArgument, CaseIterable {
    case pubsub, streams

    static let help =
        "How Socket.IO's nodes hear each other: pubsub (as @socket.io/redis-adapter) or streams (as @socket.io/redis-streams-adapter: nothing is lost while Redis is "
        + "away, and clients that come back may come to any node)."

    func over(_ redis: RedisClient) -> @Sendable (SocketIONamespace) -> any SocketIOAdapter {
        switch self {
        case .pubsub: SocketIORedisAdapter.over(redis)
        case .streams: SocketIORedisStreamsAdapter.over(redis)
        }
    }
}

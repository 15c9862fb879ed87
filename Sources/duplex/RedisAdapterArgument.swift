// What joins Socket.IO's rooms of several nodes, on the command line.

import ArgumentParser
import RedisPubSub
import RedisSocketIO
import SocketIO

/// The names of the adapters.
enum RedisAdapterArgument: String, ExpressibleByArgument, CaseIterable {
    case pubsub, sharded, streams

    static let help =
        "How Socket.IO's nodes hear each other: pubsub (as @socket.io/redis-adapter), sharded (as its sharded adapter: what is said in a room goes to nodes with "
        + "somebody there; Redis 7) or streams (as @socket.io/redis-streams-adapter: nothing is lost while Redis is away, and clients that come back may come to any node)."

    func over(_ redis: RedisClient) -> @Sendable (SocketIONamespace) -> any SocketIOAdapter {
        switch self {
        case .pubsub: SocketIORedisAdapter.over(redis)
        case .sharded: SocketIORedisShardedAdapter.over(redis)
        case .streams: SocketIORedisStreamsAdapter.over(redis)
        }
    }
}

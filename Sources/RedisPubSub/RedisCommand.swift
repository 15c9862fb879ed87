// What Redis is told: a command is an array of strings (redis.io, "RESP", "Sending commands to a Redis server").

import NIOCore

/// A command with its arguments.
struct RedisCommand: Sendable, Hashable {
    var arguments: [ByteBuffer]

    /// Makes a command of texts.
    init(_ arguments: String...) { self.arguments = arguments.map { ByteBuffer(string: $0) } }

    /// Makes a command of texts.
    init(_ arguments: [String]) { self.arguments = arguments.map { ByteBuffer(string: $0) } }

    /// Makes a command of bytes.
    init(arguments: [ByteBuffer]) { self.arguments = arguments }

    /// Says something to a channel, of a shard or not.
    static func publish(_ payload: ByteBuffer, to channel: String, isSharded: Bool = false) -> RedisCommand {
        var command = RedisCommand(isSharded ? "SPUBLISH" : "PUBLISH", channel)
        command.arguments.append(payload)
        return command
    }

    /// The most bytes that the command takes: each length has up to 19 digits.
    var size: Int { arguments.reduce(24) { $0 + $1.readableBytes + 24 } }

    /// Writes the command to the end of a buffer.
    func write(to buffer: inout ByteBuffer) {
        buffer.writeString("*\(arguments.count)\r\n")
        for argument in arguments {
            buffer.writeString("$\(argument.readableBytes)\r\n")
            buffer.writeImmutableBuffer(argument)
            buffer.writeString("\r\n")
        }
    }
}

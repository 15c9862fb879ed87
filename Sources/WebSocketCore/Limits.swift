// What one message of a peer may cost.

/// The limits on what a peer may send (RFC 6455 §10.4).
public struct Limits: Sendable, Hashable {
    /// The largest message in bytes, after decompression: 1 MiB, as most messages are far below, and a thousand connections that
    /// each hold one stay within a gigabyte. A larger one ends the connection with 1009.
    public var maxMessageSize: Int
    /// The largest frame in bytes; as large as a message unless set. A larger one ends the connection with 1009.
    public var maxFrameSize: Int
    /// The most frames of one message: 131,072, since a frame may be empty and would cost the sender next to nothing, while
    /// no known client cuts a message of 1 MiB into pieces of under 8 bytes. One more ends the connection with 1008.
    public var maxFragments: Int

    /// Makes limits.
    public init(maxMessageSize: Int = 1 << 20, maxFrameSize: Int? = nil, maxFragments: Int = 131_072) {
        self.maxMessageSize = maxMessageSize
        self.maxFrameSize = maxFrameSize ?? maxMessageSize
        self.maxFragments = maxFragments
    }
}

/// Limits that many connections have in common.
package final class SharedLimits: Sendable {
    package let limits: Limits

    package init(_ limits: Limits) { self.limits = limits }
}

// What becomes of messages for a subscriber that reads too slowly.

/// What becomes of a topic's messages for a subscriber whose send buffer is over its mark.
///
/// One slow reader costs the others nothing: each message is taken, dropped or kept for each subscriber alone, and nobody waits. Only
/// published messages are dropped, and only whole ones; what the program sends to the connection itself, and control frames, are not.
public enum SlowConsumerPolicy: Sendable, Hashable {
    /// The connection is closed with 1013 once `maxSendBuffer` bytes wait: for what must not be missed, as the client then knows that
    /// it has missed something.
    case close
    /// The new message is not sent: for what is soon said again.
    case dropNewest
    /// The oldest messages that wait are dropped to make room: for what is worth less the older it is, such as a log or a stream.
    case dropOldest
    /// Of all messages with the same key, only the latest waits, in the place of the first: tickers, positions, gauges. The key is the
    /// topic unless the publisher gives one.
    case latest
}

// What names a session to its client: a secret, as whoever knows it can speak and listen in the client's place. Socket.IO's ids are made the
// same way.

import NIOCore

/// A session's id: 15 bytes of the system's generator, which is a cryptographic one (getrandom, arc4random), as 20 characters of base64url.
///
/// 120 bits cannot be guessed, and say nothing of other sessions or of their number. Where there are several nodes, the first six characters are
/// the node's name (`EngineIONode`), and 84 bits cannot be guessed.
package struct SessionID: Hashable, Sendable {
    // Ten characters each.
    private let first: UInt64
    private let second: UInt64

    private static let bits = UInt64(60)
    /// What the first ten characters hold behind the node's name.
    private static let bitsAfterNode = UInt64(24)

    /// Makes an id that no other session has.
    package init() {
        var generator = SystemRandomNumberGenerator()
        first = generator.next() >> (64 - Self.bits)
        second = generator.next() >> (64 - Self.bits)
    }

    /// Makes an id that no other session has, on a node.
    init(node: EngineIONode?) {
        let id = SessionID()
        second = id.second
        first = node.map { $0.bits << Self.bitsAfterNode | id.first & (1 << Self.bitsAfterNode - 1) } ?? id.first
    }

    /// The node that the session is on, where ids name one.
    var node: EngineIONode { EngineIONode(bits: first >> Self.bitsAfterNode) }

    /// The id that a client names; nil for what no id looks like.
    init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8.prefix(21))
        guard bytes.count == 20, let first = Base64.urlNumber(bytes[..<10]), let second = Base64.urlNumber(bytes[10...]) else { return nil }
        self.first = first
        self.second = second
    }

    /// The id as the client names it.
    package var text: String { String(decoding: Base64.urlText(first) + Base64.urlText(second), as: UTF8.self) }
}

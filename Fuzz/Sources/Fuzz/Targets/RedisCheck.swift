// Redis: any bytes are judged the same however they are cut, and what a decoder of the cluster lets through is written and read again to the
// same.

import NIOCore
import SocketIO

@testable import RedisPubSub
@testable import RedisSocketIO

enum RedisCheck {
    // MARK: RESP

    /// The input: a byte of choices, the sizes of pieces, and the bytes.
    static func runRESP(_ input: inout FuzzInput) throws(Finding) {
        let limits = input.byte() & 1 == 0 ? RESPLimits() : RESPLimits(maxDepth: 2, maxLineLength: 16, maxReplySize: 256)
        let sizes = input.sizes()
        let bytes = input.bytes()
        let (whole, cut) = (parse([bytes[...]], limits), parse(bytes.pieces(of: sizes), limits))
        if whole != cut { throw Finding("\(whole) in one piece, and \(cut) in pieces") }
    }

    /// The values as text, as no number that is none equals itself, and the rule that ended it.
    private static func parse(_ pieces: [ArraySlice<UInt8>], _ limits: RESPLimits) -> [String] {
        var parser = RESPParser(limits: limits)
        var said: [String] = []
        for piece in pieces {
            // Copied: the parser must not depend on what was behind a piece.
            parser.append(ByteBuffer(bytes: Array(piece)))
            do throws(RESPError) {
                while let value = try parser.next() { said.append("\(value)") }
            } catch {
                return said + [error.rule.rawValue]
            }
        }
        return said
    }

    // MARK: What nodes say

    /// The input: a byte that says which message, and its bytes.
    static func runCluster(_ input: inout FuzzInput) throws(Finding) {
        let kind = input.byte() % 4
        let bytes = ByteBuffer(bytes: input.bytes())
        switch kind {
        case 0: try check(bytes, { try ClassicBroadcast($0).encoded })
        case 1: try check(bytes, { try ClassicRequest($0).encoded })
        case 2: try check(bytes, { try ClassicResponse($0).encoded })
        default: try check(bytes, { try TopicEnvelope($0, topic: "t").encoded })
        }
    }

    /// - Parameter rewrite: reads, and writes again.
    private static func check(_ bytes: ByteBuffer, _ rewrite: (ByteBuffer) throws -> ByteBuffer) throws(Finding) {
        guard let once = try? rewrite(bytes) else { return }
        guard let twice = try? rewrite(once) else { throw Finding("wrote what it can not read: \(once)") }
        if once != twice { throw Finding("\(once) became \(twice)") }
    }
}

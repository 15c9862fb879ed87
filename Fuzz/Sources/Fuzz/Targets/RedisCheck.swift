// Redis: any bytes are judged the same however they are cut, and what a decoder of the cluster lets through is written and read again to the
// same.

import NIOCore

@testable import PubSub
@testable import RedisPubSub
@testable import RedisSocketIO
@testable import SocketIO

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
        let kind = input.byte() % 8
        let bytes = ByteBuffer(bytes: input.bytes())
        switch kind {
        case 0: try check(bytes, { try ClassicBroadcast($0).encoded })
        case 1: try check(bytes, { try ClassicRequest($0).encoded })
        case 2: try check(bytes, { try ClassicResponse($0).encoded })
        case 3: try check(bytes, { try TopicEnvelope($0, topic: "t").encoded })
        case 4: try check(bytes, rewriteMessage)
        case 5: try check(bytes, rewriteEntry)
        case 6: try check(bytes, { try ForwardingMessage($0).encoded })
        default: try check(bytes, { ClusterMessage($0)?.encoded ?? ByteBuffer() })
        }
    }

    private static func rewriteMessage(_ bytes: ByteBuffer) throws -> ByteBuffer {
        let isJSON = bytes.readableBytesView.first == UInt8(ascii: "{")
        let value = try SocketIOClusterMessage(isJSON ? SocketIOValue(jsonBytes: bytes) : SocketIOValue(messagePack: bytes)).value
        return value.jsonBytes ?? value.messagePack
    }

    /// An entry of a stream whose data are the bytes, the first of which says of which type; without bytes, it has none.
    private static func rewriteEntry(_ bytes: ByteBuffer) throws -> ByteBuffer {
        var data = bytes
        let type = data.readInteger(as: UInt8.self) ?? 0
        var fields = ["uid", "u", "nsp", "/", "type", "\(type)"].map { ByteBuffer(string: $0) }
        if data.readableBytes > 0 { fields += [ByteBuffer(string: "data"), data] }
        let written = try StreamEntry(id: .zero, fields: fields).message().fields
        return ByteBuffer(bytes: [type] + (written.count > 7 ? Array(written[7].readableBytesView) : []))
    }

    /// - Parameter rewrite: reads, and writes again.
    private static func check(_ bytes: ByteBuffer, _ rewrite: (ByteBuffer) throws -> ByteBuffer) throws(Finding) {
        guard let once = try? rewrite(bytes) else { return }
        guard let twice = try? rewrite(once) else { throw Finding("wrote what it can not read: \(once)") }
        if once != twice { throw Finding("\(once) became \(twice)") }
    }
}

// The default format, decoding: Socket.IO protocol 5, "Packet encoding".
//
// States: idle → (a text with attachments) awaiting them → (the last one) idle. A text without attachments is a packet at once.
// All that can be told from a text is told when it comes, also whether its placeholders fit the attachments, so that nothing is kept for a
// packet that is none.

import NIOCore
import WebSocketCore
import WebSockets

/// Decodes the packets of one connection.
struct JSONPacketDecoder: ~Copyable, SocketIOPacketDecoder {
    /// A packet whose attachments are not all there. An object of its own: it is rare, and an idle decoder shall be small.
    private final class Unfinished {
        let namespace: String
        var content: SocketIOPacket.Content
        let awaited: Int
        var attachments: [ByteBuffer] = []

        init(namespace: String, content: SocketIOPacket.Content, awaited: Int) {
            self.namespace = namespace
            self.content = content
            self.awaited = awaited
        }
    }

    private let shared: SharedParserLimits
    /// Nil when idle.
    private var unfinished: Unfinished?

    init(limits: SharedParserLimits) { shared = limits }

    mutating func add(_ message: Message) throws(SocketIOParseError) -> SocketIOPacket? {
        switch message.kind {
        case .text: try add(text: message.payload)
        case .binary: try add(attachment: message.payload)
        }
    }

    private mutating func add(text: ByteBuffer) throws(SocketIOParseError) -> SocketIOPacket? {
        guard unfinished == nil else { throw SocketIOParseError(.unexpectedText) }
        let (packet, count) = try text.withUnsafeReadableBytes { (bytes) throws(SocketIOParseError) in
            try PacketText.read(bytes, shared.limits)
        }
        guard count > 0 else { return packet }
        unfinished = Unfinished(namespace: packet.namespace, content: packet.content, awaited: count)
        return nil
    }

    private mutating func add(attachment: ByteBuffer) throws(SocketIOParseError) -> SocketIOPacket? {
        guard let unfinished else { throw SocketIOParseError(.unexpectedBinary) }
        unfinished.attachments.append(attachment)
        guard unfinished.attachments.count == unfinished.awaited else { return nil }
        self.unfinished = nil
        return SocketIOPacket(namespace: unfinished.namespace, content: unfinished.content.filled(with: unfinished.attachments))
    }
}

extension SocketIOPacket.Content {
    fileprivate consuming func filled(with attachments: [ByteBuffer]) -> Self {
        switch consume self {
        case .event(var values, let id):
            Attachments.fill(&values, with: attachments)
            return .event(values, id: id)
        case .ack(var values, let id):
            Attachments.fill(&values, with: attachments)
            return .ack(values, id: id)
        case let other: return other
        }
    }
}

/// Reads the text of one packet.
private struct PacketText {
    private let bytes: UnsafeRawBufferPointer
    private let limits: SocketIOParserLimits
    private var position = 1

    private init(_ bytes: UnsafeRawBufferPointer, _ limits: SocketIOParserLimits) {
        self.bytes = bytes
        self.limits = limits
    }

    /// The packet, still with placeholders, and how many attachments follow.
    static func read(_ bytes: UnsafeRawBufferPointer, _ limits: SocketIOParserLimits) throws(SocketIOParseError) -> (SocketIOPacket, Int) {
        guard let first = bytes.first, let type = PacketType(rawValue: first) else {
            throw SocketIOParseError(.unknownType, at: 0, bytes.first.map { "byte \($0)" } ?? "an empty text")
        }
        var text = PacketText(bytes, limits)
        let count = type.isBinary ? try text.attachmentCount() : 0
        let namespace = try text.namespace()
        let id = try text.id()
        let start = text.position
        let content = try SocketIOPacket.Content(type, try text.payload(), id: id, at: start)
        if count > 0 { try check(content, count, at: start) }
        return (SocketIOPacket(namespace: namespace, content: content), count)
    }

    private static func check(_ content: SocketIOPacket.Content, _ count: Int, at start: Int) throws(SocketIOParseError) {
        switch content {
        case .event(let values, _), .ack(let values, _): try Attachments.check(values, count: count, at: start)
        default: break
        }
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    /// Takes digits; nil if there are none, and `Int.max` for a number that is larger.
    @inline(__always)
    private mutating func number() -> Int? {
        let start = position
        var number = 0
        while position < bytes.count, case let digit = bytes[position] &- UInt8(ascii: "0"), digit < 10 {
            let (product, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(digit))
            number = overflow || carry ? .max : sum
            position &+= 1
        }
        return position == start ? nil : number
    }

    /// Takes `<# of binary attachments>-`. 0 is no reason to refuse a packet: nothing is missing.
    private mutating func attachmentCount() throws(SocketIOParseError) -> Int {
        let count = number()
        guard let count, next == UInt8(ascii: "-") else { throw SocketIOParseError(.invalidAttachmentCount, at: position) }
        guard count <= limits.maxAttachments else {
            throw SocketIOParseError(.tooManyAttachments, at: 1, "\(count), and the limit is \(limits.maxAttachments)")
        }
        position += 1
        return count
    }

    /// Takes `<namespace>,` if there is one; the comma may be missing at the text's end.
    @inline(__always)
    private mutating func namespace() throws(SocketIOParseError) -> String {
        guard next == UInt8(ascii: "/") else { return "/" }
        let rest = bytes[position...]
        let end = rest.firstIndex(of: UInt8(ascii: ",")) ?? bytes.count
        guard end - position <= limits.maxNamespaceLength else {
            let sizes = "\(end - position) bytes, and the limit is \(limits.maxNamespaceLength)"
            throw SocketIOParseError(.namespaceTooLong, at: position, sizes)
        }
        guard let namespace = String(validating: rest[..<end], as: UTF8.self) else {
            throw SocketIOParseError(.invalidNamespace, at: position, "it is not UTF-8")
        }
        position = min(end + 1, bytes.count)
        return namespace
    }

    @inline(__always)
    private mutating func id() throws(SocketIOParseError) -> Int? {
        let start = position
        guard let id = number() else { return nil }
        guard id <= SocketIOPacket.maxID else { throw SocketIOParseError(.invalidID, at: start, "it is over 2⁵³ − 1") }
        return id
    }

    @inline(__always)
    private func payload() throws(SocketIOParseError) -> SocketIOValue? {
        guard position < bytes.count else { return nil }
        do throws(JSONError) {
            return try JSONReader.read(UnsafeRawBufferPointer(rebasing: bytes[position...]), maxDepth: limits.maxDepth)
        } catch {
            let rule: SocketIOParseError.Rule = error.reason == .tooDeep ? .tooDeep : .invalidJSON
            throw SocketIOParseError(rule, at: position + error.offset, error.reason.rawValue)
        }
    }
}

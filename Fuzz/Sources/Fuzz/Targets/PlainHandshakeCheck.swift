// The reactor's recogniser of plain handshakes, beside NIO's HTTP parser, which is nobody's here: whatever the recogniser takes, NIO takes
// from the same bytes as the same request, and reads nothing behind it as HTTP.

import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOHTTPTypesHTTP1

@testable import WebSockets

enum PlainHandshakeCheck {
    /// The input: how many fields are allowed, how many bytes are left off that limit, then what a client sends.
    static func run(_ input: inout FuzzInput) throws(Finding) {
        let maxFields = Int(input.byte())
        let tooFew = Int(input.byte())
        let bytes = input.bytes()
        guard let plain = recognise(bytes, maxFields, max(0, maxBytes - tooFew)) else { return }
        guard plain.length <= bytes.count, bytes[..<plain.length].suffix(4) == [13, 10, 13, 10] else {
            throw Finding("it ends in the middle: \(plain.length) of \(bytes.count) bytes")
        }
        try checkLimits(Array(bytes[..<plain.length]), plain)
        let parsed: HTTPRequest
        do { parsed = try parse(bytes) } catch { throw Finding("NIO does not take it: \(error)") }
        if parsed != plain.request { throw Finding("\(plain.request.show), not \(parsed.show)") }
    }

    private static let maxBytes = 4096

    private static func recognise(_ bytes: [UInt8], _ maxFields: Int, _ maxBytes: Int) -> PlainHandshake? {
        // In memory of its own, so that the sanitizer sees a byte read too many.
        bytes.withUnsafeBytes { PlainHandshake($0, maxFields: maxFields, maxBytes: maxBytes) }
    }

    /// What follows it changes nothing, and it needs all its bytes and fields.
    private static func checkLimits(_ bytes: [UInt8], _ plain: PlainHandshake) throws(Finding) {
        let fields = plain.request.headerFields.count + 1
        guard recognise(bytes, fields, bytes.count)?.request == plain.request else { throw Finding("refused alone, at its own size") }
        guard recognise(bytes, fields - 1, bytes.count) == nil else { throw Finding("taken with fewer fields than it has") }
        guard recognise(bytes, fields, bytes.count - 1) == nil else { throw Finding("taken with fewer bytes than it has") }
        guard recognise(bytes.dropLast(), fields, bytes.count) == nil else { throw Finding("taken before it was whole") }
    }

    /// What NIO's parser makes of it, as the server sets that up.
    private static func parse(_ bytes: [UInt8]) throws -> HTTPRequest {
        var limits = NIOHTTPDecoderLimitConfiguration()
        (limits.maxHeaderFieldCount, limits.maxHeaderListSize, limits.maxHeaderFieldSize) = (256, maxBytes, maxBytes)
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits)
        let channel = EmbeddedChannel(handler: ByteToMessageHandler(decoder))
        defer { _ = try? channel.finish() }
        try channel.writeInbound(ByteBuffer(bytes: bytes))
        guard case .head(let head) = try channel.readInbound(as: HTTPServerRequestPart.self), head.version == .http1_1,
            head.headers["host"].count == 1
        else { throw Finding("no head of HTTP/1.1 with one Host") }
        guard case .end(nil) = try channel.readInbound(as: HTTPServerRequestPart.self) else { throw Finding("content") }
        guard try channel.readInbound(as: HTTPServerRequestPart.self) == nil else { throw Finding("a second request") }
        return try HTTPRequest(head, secure: false, splitCookie: false)
    }
}

extension HTTPRequest {
    fileprivate var show: String {
        "\(method) \(authority ?? "nil") \(path ?? "nil") \(headerFields.map { "\($0.name.rawName): \($0.value)" })"
    }
}

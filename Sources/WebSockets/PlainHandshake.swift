// The opening handshakes that nearly all clients send, recognised in the bytes: RFC 9112 §2 to §5, RFC 6455 §4.1.
//
// HTTP is NIO's, which takes much more than this and answers what it does not take. This takes a handshake only if it is whole and has
// nothing unusual about it, and then sees exactly the request that NIO would (`PlainHandshakeTests` holds one against the other). What it
// does not take has done nothing wrong: it goes to NIO, which judges.

import HTTPTypes

/// A WebSocket handshake without anything unusual: `GET`, an origin-form path, HTTP/1.1, and well-formed fields.
struct PlainHandshake {
    /// The request; `Host` is its authority.
    let request: HTTPRequest
    /// How many bytes it takes; what follows them are frames.
    let length: Int

    /// Recognises a handshake at the start of the bytes; nil if there is none, or any doubt.
    ///
    /// - Parameters:
    ///   - maxFields: how many header fields there may be.
    ///   - maxBytes: how long it may be.
    init?(_ bytes: UnsafeRawBufferPointer, maxFields: Int, maxBytes: Int) {
        var scanner = HandshakeScanner(UnsafeRawBufferPointer(rebasing: bytes.prefix(maxBytes)))
        guard scanner.skip("GET "), let path = scanner.path(), scanner.skip(" HTTP/1.1\r\n") else { return nil }
        var fields = PlainFields()
        while !scanner.skip("\r\n") {
            guard fields.count < maxFields, let name = scanner.name(), let value = scanner.value() else { return nil }
            guard fields.add(name, value) else { return nil }
        }
        guard let host = fields.host, fields.areComplete else { return nil }
        request = HTTPRequest(
            method: .get, scheme: "http", authority: String(decoding: host, as: UTF8.self), path: String(decoding: path, as: UTF8.self),
            headerFields: fields.others)
        length = scanner.offset
    }
}

/// The header fields of a handshake as they come.
private struct PlainFields {
    private(set) var count = 0
    /// All but `Host`.
    private(set) var others = HTTPFields()
    private(set) var host: UnsafeRawBufferPointer?
    private var hasUpgrade = false
    private var hasConnection = false

    init() { others.reserveCapacity(16) }

    /// Whether there is what makes it a handshake.
    var areComplete: Bool { hasUpgrade && hasConnection }

    /// Adds a field; false for one that has a meaning beyond this recogniser's.
    mutating func add(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
        count += 1
        // The names that mean something to HTTP/1 itself, by their lengths.
        switch name.count {
        case 4 where name.equals("host"):
            guard host == nil else { return false }
            host = value
            return true
        case 6 where name.equals("expect"), 14 where name.equals("content-length"), 16 where name.equals("proxy-connection"),
            17 where name.equals("transfer-encoding"):
            return false
        case 7 where name.equals("upgrade"):
            guard !hasUpgrade, value.equals("websocket") else { return false }
            hasUpgrade = true
        case 10 where name.equals("connection"):
            guard !hasConnection, Self.isUpgrade(value) else { return false }
            hasConnection = true
        default: break
        }
        guard let name = Self.fieldName(name) else { return false }
        others.append(HTTPField(name: name, value: value))
        return true
    }

    /// Whether the connection is to be upgraded, in the words of clients and proxies.
    private static func isUpgrade(_ value: UnsafeRawBufferPointer) -> Bool {
        value.equals("upgrade") || value.equals("keep-alive, upgrade") || value.equals("upgrade, keep-alive")
    }

    /// Those that handshakes have, as they mostly are written: making a name costs more than finding one of these.
    private static let usual: [HTTPField.Name] = [
        .upgrade, .connection, .secWebSocketKey, .secWebSocketVersion, .secWebSocketExtensions, .secWebSocketProtocol, .origin, .userAgent,
        .cookie, .acceptEncoding, .acceptLanguage, .cacheControl, .accept, .authorization,
    ]

    private static func fieldName(_ bytes: UnsafeRawBufferPointer) -> HTTPField.Name? {
        let known = usual.first { $0.rawName.utf8.count == bytes.count && bytes.elementsEqual($0.rawName.utf8) }
        return known ?? HTTPField.Name(String(decoding: bytes, as: UTF8.self))
    }
}

/// A cursor over the bytes of a request.
private struct HandshakeScanner {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    /// Moves over the text if it is next.
    mutating func skip(_ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count - offset >= count, bytes[offset..<offset + count].elementsEqual(text.bytes) else { return false }
        offset += count
        return true
    }

    /// Takes a path with its query.
    mutating func path() -> UnsafeRawBufferPointer? {
        guard offset < bytes.count, bytes[offset] == UInt8(ascii: "/") else { return nil }
        return take { ByteClasses.path.contains($0) }
    }

    /// Takes a field's name and the colon.
    mutating func name() -> UnsafeRawBufferPointer? {
        let name = take { ByteClasses.token.contains($0) }
        return !name.isEmpty && skip(":") ? name : nil
    }

    /// Takes a field's value and the end of its line: visible ASCII characters, and spaces between them.
    mutating func value() -> UnsafeRawBufferPointer? {
        _ = skip(" ")
        let value = take { (0x20...0x7E).contains($0) }
        guard let first = value.first, let last = value.last, first != 0x20, last != 0x20, skip("\r\n") else { return nil }
        return value
    }

    @inline(__always)
    private mutating func take(while isPart: (UInt8) -> Bool) -> UnsafeRawBufferPointer {
        let start = offset
        while offset < bytes.count, isPart(bytes[offset]) { offset += 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<offset])
    }
}

/// ASCII characters that may stand somewhere, a bit each.
private struct ByteClasses {
    private let low: UInt64
    private let high: UInt64

    /// > RFC 9110 §5.6.2: tchar
    static let token = Self("!#$%&'*+-.^_`|~")
    /// > RFC 3986 §3.3, §3.4: pchar, "/" and "?".
    static let path = Self("-._~%!$&'()*+,;=:@/?")

    /// These, letters and digits.
    private init(_ others: StaticString) {
        var bits: (UInt64, UInt64) = (0, 0)
        for byte in Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8) + others.bytes {
            if byte < 64 { bits.0 |= 1 << UInt64(byte) } else { bits.1 |= 1 << UInt64(byte - 64) }
        }
        (low, high) = bits
    }

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        switch byte {
        case ..<64: low >> UInt64(byte) & 1 == 1
        case ..<128: high >> UInt64(byte - 64) & 1 == 1
        default: false
        }
    }
}

extension StaticString {
    fileprivate var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: utf8Start, count: utf8CodeUnitCount) }
}

extension UnsafeRawBufferPointer {
    /// Whether it is this text, which is in lower case, when ASCII case does not count.
    fileprivate func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        return zip(self, text.bytes).allSatisfy { own, other in
            own == other || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(other) && own | 0x20 == other
        }
    }
}

// What the handshake settled, in as little memory as it takes: an `HTTPRequest` with a browser's fields takes kilobytes, its bytes a quarter
// of that, and most programs look at it once, before the connection opens.
//
// Strings one behind another, each with its length before it: path, authority, scheme, method, subprotocol, parameters, fields, address. What is
// nil has no length but 0; what is not has its length + 1. A length takes 7 bits a byte, the lowest first.

package import HTTPTypes
package import NIOCore

/// What the handshake settled, packed.
package struct PackedHandshake: Sendable {
    private let bytes: [UInt8]

    /// Those that say nothing once the handshake is done.
    private static let dropped: Set<HTTPField.Name> = [
        .connection, .upgrade, .secWebSocketKey, .secWebSocketVersion, .secWebSocketExtensions,
    ]

    /// Those that stand as a number.
    private static let schemes: [String?] = [nil, "http", "https"]

    /// Packs a request that is no WebSocket handshake.
    package init(_ request: HTTPRequest, remoteAddress: SocketAddress?) {
        self.init(WebSocket.Handshake(request: request, remoteAddress: remoteAddress))
    }

    init(_ handshake: WebSocket.Handshake) {
        let request = handshake.request
        var packer = Packer()
        packer.add(request.path)
        packer.add(request.authority)
        packer.add(Self.schemes.firstIndex(of: request.scheme) ?? Self.schemes.count)
        if !Self.schemes.contains(request.scheme) { packer.add(request.scheme) }
        packer.add(request.method == .get ? nil : request.method.rawValue)
        packer.add(handshake.subprotocol)
        packer.add(handshake.parameters.count)
        for (name, value) in handshake.parameters {
            packer.add(name)
            packer.add(value)
        }
        let fields = request.headerFields.filter { !Self.dropped.contains($0.name) }
        packer.add(fields.count)
        for field in fields {
            packer.add(field.name.rawName)
            // As bytes: a value may be in any encoding.
            field.withUnsafeBytesOfValue { packer.add(bytes: $0) }
        }
        packer.add(handshake.remoteAddress)
        bytes = packer.packed
    }

    var path: String {
        var unpacker = Unpacker(bytes)
        return unpacker.string() ?? ""
    }

    package var request: HTTPRequest { unpack { request, _, _, _ in request } }
    var subprotocol: String? { unpack { _, subprotocol, _, _ in subprotocol } }
    var parameters: [String: String] { unpack { _, _, parameters, _ in parameters } }
    package var remoteAddress: SocketAddress? { unpack { _, _, _, address in address } }

    private func unpack<R>(_ body: (HTTPRequest, String?, [String: String], SocketAddress?) -> R) -> R {
        var unpacker = Unpacker(bytes)
        let path = unpacker.string()
        let authority = unpacker.string()
        let known = unpacker.number()
        let scheme = known < Self.schemes.count ? Self.schemes[known] : unpacker.string()
        let method = unpacker.string().flatMap { HTTPRequest.Method($0) } ?? .get
        let subprotocol = unpacker.string()
        var parameters: [String: String] = [:]
        for _ in 0..<unpacker.number() {
            if let name = unpacker.string(), let value = unpacker.string() { parameters[name] = value }
        }
        var request = HTTPRequest(method: method, scheme: scheme, authority: authority, path: path)
        for _ in 0..<unpacker.number() {
            guard let text = unpacker.string(), let value = unpacker.bytes(), let name = HTTPField.Name(text) else { continue }
            request.headerFields.append(HTTPField(name: name, value: value))
        }
        return body(request, subprotocol, parameters, unpacker.address())
    }
}

private struct Packer {
    private var bytes: [UInt8] = []

    /// What was added, in no more memory than it takes.
    var packed: [UInt8] { bytes.withUnsafeBufferPointer { Array($0) } }

    mutating func add(_ number: Int) {
        var rest = number
        while rest > 127 {
            bytes.append(UInt8(rest & 127) | 128)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func add(_ text: String?) {
        guard let text else { return add(0) }
        add(text.utf8.count + 1)
        bytes += text.utf8
    }

    mutating func add(bytes more: UnsafeBufferPointer<UInt8>) {
        add(more.count + 1)
        bytes += more
    }

    mutating func add(_ address: SocketAddress?) {
        add(address?.ipAddress ?? address?.pathname)
        // A socket of the file system has none.
        add((address?.port ?? -1) + 1)
    }
}

private struct Unpacker {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    mutating func number() -> Int {
        var number = 0
        var shift = 0
        while let byte = rest.popFirst() {
            number |= Int(byte & 127) << shift
            shift += 7
            if byte < 128 { break }
        }
        return number
    }

    mutating func bytes() -> ArraySlice<UInt8>? {
        let count = number()
        return count == 0 ? nil : take(count - 1)
    }

    private mutating func take(_ count: Int) -> ArraySlice<UInt8> {
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func string() -> String? { bytes().map { String(decoding: $0, as: UTF8.self) } }

    mutating func address() -> SocketAddress? {
        guard let host = string() else { return nil }
        let port = number() - 1
        return try? port < 0 ? SocketAddress(unixDomainSocketPath: host) : SocketAddress(ipAddress: host, port: port)
    }
}

// What the handshake settled, in as little memory as it takes: an `HTTPRequest` with a browser's fields takes kilobytes, its bytes a quarter
// of that, and most programs look at it once, before the connection opens.
//
// Strings one behind another, each with its length before it: path, authority, scheme, method, subprotocol, parameters, fields, address. What
// is nil has no length but 0; what is not has its length + 1. A length takes 7 bits a byte, the lowest first. An internet address stands as
// its bytes (4 or 16) and two for the port.

package import HTTPTypes
package import NIOCore

/// What the handshake settled, packed.
///
/// `@unchecked Sendable`: the memory is written in `init` alone.
package struct PackedHandshake: @unchecked Sendable {
    /// The bytes behind their number, which takes 4; an array has 16 for that and its capacity.
    private let storage: ManagedBuffer<UInt32, UInt8>

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
        storage = packer.packed
    }

    /// The bytes of memory that it takes.
    var size: Int { 2 * MemoryLayout<Int>.size + MemoryLayout<UInt32>.size + bytes.count }

    private var bytes: [UInt8] {
        storage.withUnsafeMutablePointers { count, bytes in Array(UnsafeBufferPointer(start: bytes, count: Int(count.pointee))) }
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

/// What kind of address follows.
private enum AddressKind: Int {
    case none, v4, v6, path
}

private struct Packer {
    private var bytes: [UInt8] = []

    init() { bytes.reserveCapacity(512) }

    /// What was added, in no more memory than it takes.
    var packed: ManagedBuffer<UInt32, UInt8> {
        let storage = ManagedBuffer<UInt32, UInt8>.create(minimumCapacity: bytes.count) { _ in UInt32(clamping: bytes.count) }
        storage.withUnsafeMutablePointerToElements { $0.initialize(from: bytes, count: bytes.count) }
        return storage
    }

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
        switch address {
        case .v4: add(.v4, address, at: 4..<8)
        case .v6: add(.v6, address, at: 8..<24)
        case .unixDomainSocket:
            add(AddressKind.path.rawValue)
            add(address?.pathname)
        case nil: add(AddressKind.none.rawValue)
        }
    }

    /// - Parameter place: where the address stands in a `sockaddr_in` or `sockaddr_in6`; the port is the third and fourth byte of both, the
    ///   higher first.
    private mutating func add(_ kind: AddressKind, _ address: SocketAddress?, at place: Range<Int>) {
        add(kind.rawValue)
        address?.withSockAddr { sockaddr, size in
            let whole = UnsafeRawBufferPointer(start: sockaddr, count: size)
            bytes += whole[place]
            bytes += whole[2..<4]
        }
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
        switch AddressKind(rawValue: number()) {
        case .v4: internetAddress(4)
        case .v6: internetAddress(16)
        case .path: string().flatMap { try? SocketAddress(unixDomainSocketPath: $0) }
        default: nil
        }
    }

    private mutating func internetAddress(_ count: Int) -> SocketAddress? {
        let address = ByteBuffer(bytes: take(count))
        let port = take(2).reduce(0) { $0 << 8 | Int($1) }
        return try? SocketAddress(packedIPAddress: address, port: port)
    }
}

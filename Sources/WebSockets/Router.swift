// Which path leads where.

package import HTTPTypes
import WebSocketCore
package import WebSocketDeflate

/// Makes the handler of a connection, once the handshake is accepted.
package typealias MakeHandler = @Sendable (WebSocket) -> any WebSocketHandler

/// What a route decides of a handshake, its state hidden in the closure.
package enum RouteDecision: Sendable {
    case accepted(Acceptance)
    case reject(ServerResponse)

    /// What is to be answered, and who handles the connection.
    package struct Acceptance: Sendable {
        let makeHandler: MakeHandler
        let usesInbox: Bool
        let subprotocol: String?
        let headerFields: HTTPFields
        let compression: Compression?
    }

    package static func accept(
        _ makeHandler: @escaping MakeHandler, usesInbox: Bool, subprotocol: String?, headerFields: HTTPFields, compression: Compression?
    ) -> Self {
        .accepted(
            Acceptance(
                makeHandler: makeHandler, usesInbox: usesInbox, subprotocol: subprotocol, headerFields: headerFields,
                compression: compression))
    }
}

/// A request's path, taken apart at most once for all the routes that may fit it.
struct RoutePath {
    let text: Substring
    /// How many segments it has that are not empty.
    let count: Int
    private var parts: [String]??

    init(_ text: some StringProtocol) {
        self.text = Substring(text)
        count = Self.count(text)
    }

    /// What is between the slashes, percent-decoded; nil if some of it can not be decoded.
    mutating func segments() -> [String]? {
        if let parts { return parts }
        let made = text.utf8.contains(UInt8(ascii: "%")) ? decoded() : split().map(String.init)
        parts = .some(made)
        return made
    }

    private func split() -> [Substring] { text.split(separator: "/", omittingEmptySubsequences: true) }

    private func decoded() -> [String]? {
        let decoded = split().compactMap(Route.percentDecoded)
        return decoded.count == count ? decoded : nil
    }

    static func count(_ text: some StringProtocol) -> Int {
        var count = 0
        var isInside = false
        for byte in text.utf8 {
            if byte != UInt8(ascii: "/"), !isInside { count += 1 }
            isInside = byte != UInt8(ascii: "/")
        }
        return count
    }
}

/// A path with `{name}`s, and what it leads to.
package struct Route: Sendable {
    private enum Segment: Sendable {
        case literal(String)
        case parameter(String)
    }

    private let segments: [Segment]
    /// The path, if it stands for itself alone.
    private let literal: String?
    let decider: Decider
    /// What its connections have in common; the server's own if nil.
    var settings: SharedSettings?
    /// Which origins it lets pass, beside those that the server does.
    var allowsOrigin: (@Sendable (String) -> Bool)?

    /// Who decides: the program, which may await something, or this library, which need not.
    package enum Decider: Sendable {
        case awaited(@Sendable (ServerRequest) async throws -> RouteDecision)
        case immediate(@Sendable (ServerRequest) -> RouteDecision)
    }

    init(_ path: String, decide: @escaping @Sendable (ServerRequest) async throws -> RouteDecision) {
        self.init(path, .awaited(decide))
    }

    init(_ path: String, _ decider: Decider) {
        segments = path.split(separator: "/", omittingEmptySubsequences: true).map { segment in
            let isParameter = segment.count > 1 && segment.first == "{" && segment.last == "}"
            return isParameter ? .parameter(String(segment.dropFirst().dropLast())) : .literal(String(segment))
        }
        literal = path.utf8.contains { "{%".utf8.contains($0) } ? nil : path
        self.decider = decider
    }

    /// The parameters if the path fits; nil if not. A `{name}` stands for one segment that is not empty.
    func match(_ path: inout RoutePath) -> [String: String]? {
        // Most paths have another length, or are written as their route is.
        guard path.count == segments.count else { return nil }
        if let literal, path.text == literal { return [:] }
        guard let parts = path.segments() else { return nil }
        var parameters: [String: String] = [:]
        for (segment, part) in zip(segments, parts) {
            switch segment {
            case .parameter(let name): parameters[name] = part
            case .literal(let text): if text != part { return nil }
            }
        }
        return parameters
    }

    /// The text with `%XX` decoded; nil if that is malformed, not UTF-8, or holds a control character.
    package static func percentDecoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst(), let low = rest.popFirst(),
                let value = UInt8(String(decoding: [high, low], as: UTF8.self), radix: 16), high != UInt8(ascii: "+")
            else { return nil }
            bytes.append(value)
        }
        guard !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension Route {
    /// Sees to it that a browser's page may connect.
    func check(_ handshake: ServerHandshake, _ server: ServerCore) throws(HandshakeRefusal) {
        if handshake.origins.count == 1, handshake.origins.allSatisfy({ allowsOrigin?($0) == true }) { return }
        try handshake.checkOrigin(allowed: server.configuration.allowedOrigins, isSecure: server.isSecure)
    }
}

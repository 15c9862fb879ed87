// How a request of long-polling that has come to the wrong node finds the one that has its session.
//
// A session's id begins with its node's name, so that nobody has to be asked where it is, and nothing has to be kept or to expire. What a request
// says to its session is little: which session, poll or POST, and the body. All else (CORS, cookies, the program's own header fields) is the
// business of the node that the client speaks to.

public import NIOCore

/// The name of a node, with which the ids of its sessions begin: 36 random bits, as 6 characters of base64url.
///
/// 84 random bits are left to an id. That two of a thousand nodes have the same name happens once in 100,000 clusters, and then a request
/// may be answered by the wrong one, with "Session ID unknown".
public struct EngineIONode: Hashable, Sendable, CustomStringConvertible {
    static let length = 6
    let bits: UInt64

    /// Makes a name that no other node has.
    public init() { bits = UInt64.random(in: 0..<1 << 36) }

    init(bits: UInt64) { self.bits = bits }

    /// Reads a name; nil for what is none.
    public init?(_ text: some StringProtocol) {
        guard let bits = Base64.urlNumber(Array(text.utf8), count: Self.length) else { return nil }
        self.bits = bits
    }

    /// The name's six characters.
    public var description: String { String(decoding: Base64.urlText(bits, count: Self.length), as: UTF8.self) }
}

/// A request of long-polling for a session of another node.
public struct EngineIOForwardedRequest: Hashable, Sendable {
    /// What it is.
    public enum Kind: Hashable, Sendable {
        /// A GET, which is answered when there is something to say.
        case poll(acceptsGzip: Bool)
        /// A POST.
        case post(ByteBuffer, isBinary: Bool)
    }

    /// The session's id, as the client has named it.
    public let sessionID: String
    /// What it is.
    public let kind: Kind

    /// Makes a request.
    ///
    /// - Returns: nil if that can be no session's id.
    public init?(sessionID: String, _ kind: Kind) {
        guard let node = SessionID(sessionID)?.node else { return nil }
        (self.sessionID, self.kind, self.node) = (sessionID, kind, node)
    }

    /// The node that the session is on.
    public let node: EngineIONode
}

/// What a node answers to a request that another one has passed on.
public enum EngineIOForwardedAnswer: Hashable, Sendable {
    /// What a poll is answered with, compressed by gzip or not.
    case packets(ByteBuffer, isCompressed: Bool)
    /// A POST was taken.
    case ok
    /// 400 without a body: the request overlaps another, or its body is none; the session has ended.
    case refused
    /// 400, code 3: the session is on WebSocket now.
    case badRequest
    /// 413: the body is over `maxPayload`.
    case contentTooLarge
    /// 400, code 1: there is no such session, or nobody who could know.
    case sessionUnknown
    /// 503: too many requests are under way between the nodes. No node says so to another.
    case overloaded
}

/// Passes requests of long-polling on to the nodes that have their sessions, and answers those of other nodes (`EngineIOServer.serve`).
///
/// No call may block, and every request is answered in the end, whatever becomes of the other node.
public protocol EngineIOForwarder: AnyObject, Sendable {
    /// This node's name; the same from the first call on.
    var node: EngineIONode { get }
    /// Passes a request on to `request.node`.
    ///
    /// - Parameter answered: takes the answer, once, on any thread, perhaps before this returns.
    /// - Returns: what tells the other node that the client has gone; nothing if there is an answer already.
    func forward(
        _ request: EngineIOForwardedRequest, answered: @escaping @Sendable (EngineIOForwardedAnswer) -> Void
    ) -> @Sendable () -> Void
    /// This node shuts down: has polls that wait here answered, so that the clients come back to other nodes.
    func drain()
}

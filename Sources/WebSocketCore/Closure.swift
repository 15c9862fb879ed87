// How a connection ended, as a value: RFC 6455 §7.1.5–7.1.6.

/// How a connection ended.
public struct Closure: Sendable, Hashable, CustomStringConvertible {
    /// Who began it.
    public enum Initiator: Sendable, Hashable {
        /// This end sent the first close frame, or gave the connection up.
        case local
        /// The peer sent the first close frame, or vanished.
        case remote
    }

    /// The code; 1005 when the close frame had none, 1006 when there was no close frame.
    public var code: CloseCode
    /// The reason, at most 123 bytes of UTF-8.
    public var reason: String
    /// Who began it.
    public var initiator: Initiator
    /// Whether close frames went both ways (RFC 6455 §7.1.4).
    public var isClean: Bool

    /// Makes a closure.
    public init(code: CloseCode, reason: String = "", initiator: Initiator, isClean: Bool) {
        self.code = code
        self.reason = reason
        self.initiator = initiator
        self.isClean = isClean
    }

    /// Whether nothing went wrong: both close frames went through, and the code is 1000, 1001 or 1005 (none given).
    public var isNormal: Bool {
        isClean && (code == .normalClosure || code == .goingAway || code == .noStatusReceived)
    }

    /// One line: the code, the reason, who closed, and whether it was clean.
    public var description: String {
        let why = reason.isEmpty ? "" : " “\(reason)”"
        return "\(code)\(why), closed by \(initiator == .local ? "this end" : "the peer")\(isClean ? "" : ", not cleanly")"
    }
}

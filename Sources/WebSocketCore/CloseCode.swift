// Why a connection ends: RFC 6455 §7.4 and IANA's registry of WebSocket close codes.

/// A close code (RFC 6455 §7.4).
public struct CloseCode: RawRepresentable, Sendable, Hashable, CustomStringConvertible {
    /// The code as it stands on the wire.
    public let rawValue: UInt16

    /// Wraps any number; whether it may be sent is another question (`isSendable`).
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// 1000: the purpose of the connection is fulfilled.
    public static let normalClosure = CloseCode(rawValue: 1000)
    /// 1001: the server goes down or the browser leaves the page.
    public static let goingAway = CloseCode(rawValue: 1001)
    /// 1002: the peer broke the protocol.
    public static let protocolError = CloseCode(rawValue: 1002)
    /// 1003: a kind of data that this end does not take.
    public static let unsupportedData = CloseCode(rawValue: 1003)
    /// 1005: the close frame had no code. Never on the wire.
    public static let noStatusReceived = CloseCode(rawValue: 1005)
    /// 1006: the connection ended without a close frame. Never on the wire.
    public static let abnormalClosure = CloseCode(rawValue: 1006)
    /// 1007: data that contradicts its kind, such as text that is not UTF-8.
    public static let invalidFramePayloadData = CloseCode(rawValue: 1007)
    /// 1008: a policy was violated, where no other code fits.
    public static let policyViolation = CloseCode(rawValue: 1008)
    /// 1009: a message too big to process.
    public static let messageTooBig = CloseCode(rawValue: 1009)
    /// 1010: the client expected an extension that the server did not negotiate.
    public static let mandatoryExtension = CloseCode(rawValue: 1010)
    /// 1011: the server met an unexpected condition.
    public static let internalServerError = CloseCode(rawValue: 1011)
    /// 1012: the service restarts (IANA).
    public static let serviceRestart = CloseCode(rawValue: 1012)
    /// 1013: try again later (IANA).
    public static let tryAgainLater = CloseCode(rawValue: 1013)
    /// 1014: a gateway got an invalid response from upstream (IANA).
    public static let badGateway = CloseCode(rawValue: 1014)

    /// Whether the code may stand in a close frame.
    ///
    /// 1004 is undefined, 1005, 1006 and 1015 are reserved for local use, 1016–2999 are unassigned; 3000–4999 belong to
    /// libraries and applications (RFC 6455 §7.4.2).
    public var isSendable: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }

    /// The code's number.
    public var description: String { String(rawValue) }
}

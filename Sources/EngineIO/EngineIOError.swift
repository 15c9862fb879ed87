// What a client can get wrong in what it sends.

/// What a peer sent is no Engine.IO: its fault, and the session ends with "parse error".
public struct EngineIOError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which rule was broken; there may come more.
    public struct Rule: RawRepresentable, Sendable, Hashable {
        /// The rule's name.
        public let rawValue: String
        /// Makes a rule from its name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// A packet begins with its type.
        public static let emptyPacket = Self(rawValue: "emptyPacket")
        /// The types are 0 to 6.
        public static let unknownType = Self(rawValue: "unknownType")
        /// Binary payloads are base64 of the standard alphabet, padded.
        public static let invalidBase64 = Self(rawValue: "invalidBase64")
        /// Payloads of long-polling are UTF-8.
        public static let invalidUTF8 = Self(rawValue: "invalidUTF8")
        /// A payload of long-polling has at most so many bytes.
        public static let payloadTooLarge = Self(rawValue: "payloadTooLarge")
        /// A payload of long-polling has at most so many packets.
        public static let tooManyPackets = Self(rawValue: "tooManyPackets")
    }

    /// Which rule was broken.
    public let rule: Rule
    private let detail: String

    init(_ rule: Rule, _ detail: String = "") {
        self.rule = rule
        self.detail = detail
    }

    /// What was wrong.
    public var description: String {
        switch rule {
        case .emptyPacket: "the peer sent an empty packet: one begins with its type"
        case .unknownType: "the peer sent a packet of an unknown type: \(detail)"
        case .invalidBase64: "the peer sent a binary packet that is not base64"
        case .invalidUTF8: "the peer sent a payload that is not UTF-8"
        case .payloadTooLarge: "the peer sent a payload over \(detail) bytes (limit maxPayload)"
        case .tooManyPackets: "the peer sent a payload of over \(detail) packets (limit maxPacketsPerPost)"
        default: rule.rawValue
        }
    }
}

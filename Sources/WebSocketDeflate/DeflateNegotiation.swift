// Who compresses how, settled in the handshake: RFC 7692 §5 and §7.1.

public import WebSocketCore

/// What was agreed on for one connection, seen from this end (RFC 7692 §7.1).
public struct DeflateAgreement: Sendable, Hashable {
    /// The parameters as they stand in the server's answer.
    public let parameters: DeflateParameters
    /// How this end was told to compress.
    public let compression: Compression
    /// This end.
    public let role: Role

    /// Whether this end forgets each message before it compresses the next, as it must or as it chose.
    public var forgetsSent: Bool {
        compression.dedicatedWindowBits == nil
            || (role == .server ? parameters.serverNoContextTakeover : parameters.clientNoContextTakeover)
    }

    /// Whether the peer forgets each message before it compresses the next.
    public var forgetsReceived: Bool { role == .server ? parameters.clientNoContextTakeover : parameters.serverNoContextTakeover }

    /// How far back this end's messages may refer.
    public var sentWindowBits: Int {
        let agreed = (role == .server ? parameters.serverMaxWindowBits : parameters.clientMaxWindowBits) ?? 15
        return min(agreed, compression.dedicatedWindowBits ?? 15)
    }

    /// How far back the peer's messages may refer.
    public var receivedWindowBits: Int { (role == .server ? parameters.clientMaxWindowBits : parameters.serverMaxWindowBits) ?? 15 }
}

/// The negotiation of permessage-deflate (RFC 7692 §7.1).
public enum DeflateNegotiation {
    // MARK: The server

    /// Answers a client's offers: the first that can be met, as they come in the client's order of preference (§5.1); nil to decline.
    public static func answer(_ offers: [ExtensionOffer], _ compression: Compression) -> DeflateAgreement? {
        if compression.isOff { return nil }
        for offer in offers {
            guard let offered = DeflateParameters(offer, from: .client) else { continue }
            return DeflateAgreement(parameters: answer(offered, compression), compression: compression, role: .server)
        }
        return nil
    }

    private static func answer(_ offered: DeflateParameters, _ compression: Compression) -> DeflateParameters {
        var answer = DeflateParameters()
        // §7.1.2.1: the server accepts a limit "by including the 'server_max_window_bits' extension parameter in the corresponding
        // extension negotiation response" with "the same or smaller value"; it may name one unasked.
        answer.serverMaxWindowBits = offered.serverMaxWindowBits
        guard let ownBits = compression.dedicatedWindowBits else {
            // §7.1.1.1, §7.1.1.2: a server may say both unasked.
            answer.serverNoContextTakeover = true
            answer.clientNoContextTakeover = true
            return answer
        }
        answer.serverNoContextTakeover = offered.serverNoContextTakeover
        answer.clientNoContextTakeover = offered.clientNoContextTakeover
        if ownBits < 15 { answer.serverMaxWindowBits = min(ownBits, offered.serverMaxWindowBits ?? 15) }
        // §7.1.2.2: a limit must not be in the answer if the client did not offer it. A window that cannot be limited is not kept.
        if offered.allowsClientMaxWindowBits {
            let bits = min(ownBits, offered.clientMaxWindowBits ?? 15)
            if bits < 15 { answer.clientMaxWindowBits = bits }
        } else if ownBits < 15 {
            answer.clientNoContextTakeover = true
        }
        return answer
    }

    // MARK: The client

    /// What a client offers; nil for nothing.
    public static func offer(_ compression: Compression) -> DeflateParameters? {
        if compression.isOff { return nil }
        var offer = DeflateParameters()
        offer.allowsClientMaxWindowBits = true
        if let bits = compression.dedicatedWindowBits {
            if bits < 15 { (offer.serverMaxWindowBits, offer.clientMaxWindowBits) = (bits, bits) }
        } else {
            offer.serverNoContextTakeover = true
            offer.clientNoContextTakeover = true
        }
        return offer
    }

    /// Checks the server's answer to the offer; nil if it declined.
    ///
    /// - Throws: `HandshakeFailure` for parameters that are wrong in themselves or do not answer the offer (§7, §7.1).
    public static func check(_ accepted: [ExtensionOffer], _ compression: Compression) throws(HandshakeFailure) -> DeflateAgreement? {
        guard let answer = accepted.first(where: { $0.name == DeflateParameters.extensionName }) else { return nil }
        guard let offered = offer(compression), let parameters = DeflateParameters(answer, from: .server) else {
            throw failure("§7", "the server's answer \(quoted(answer)) has a parameter that is unknown, there twice, or has a wrong value")
        }
        // §7.1.1.1: a server accepts "server_no_context_takeover" by including it, so without it, it did not accept what was offered.
        guard !offered.serverNoContextTakeover || parameters.serverNoContextTakeover else {
            throw failure("§7.1.1.1", "the server did not accept server_no_context_takeover; offer .dedicated, or no compression")
        }
        // §7.1.2.1: "the same or smaller value".
        guard (parameters.serverMaxWindowBits ?? 15) <= (offered.serverMaxWindowBits ?? 15) else {
            throw failure("§7.1.2.1", "the server did not accept the limit server_max_window_bits; offer .dedicated(), or no compression")
        }
        return DeflateAgreement(parameters: parameters, compression: compression, role: .client)
    }

    private static func failure(_ section: String, _ text: String) -> HandshakeFailure {
        HandshakeFailure(.extensions, section: "RFC 7692 \(section)", text)
    }

    private static func quoted(_ answer: ExtensionOffer) -> String { "\"\(ExtensionList.serialize([answer]))\"" }
}

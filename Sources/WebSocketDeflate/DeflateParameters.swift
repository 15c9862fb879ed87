// What the two ends agree on: RFC 7692 §7.1, the parameters of permessage-deflate in the handshake.

public import WebSocketCore

/// The parameters of permessage-deflate that an offer holds or that were agreed on (RFC 7692 §7.1).
public struct DeflateParameters: Sendable, Hashable {
    /// The extension's registered name (§7).
    public static let extensionName = "permessage-deflate"
    /// The window sizes that can be agreed on, as powers of two (§7.1.2: "the value MUST be a decimal integer in the range 8 to 15").
    public static let windowBits = 8...15

    /// Whether the server forgets each message before it compresses the next (§7.1.1.1).
    public var serverNoContextTakeover = false
    /// Whether the client forgets each message before it compresses the next (§7.1.1.2).
    public var clientNoContextTakeover = false
    /// How far back the server's compressed messages refer, as a power of two; nil where it is not said, which means 15 (§7.1.2.1).
    public var serverMaxWindowBits: Int?
    /// How far back the client's compressed messages refer; nil where it is not said (§7.1.2.2).
    public var clientMaxWindowBits: Int?
    /// Whether a client says that the server may limit the client's window: `client_max_window_bits`, with or without a value.
    public var allowsClientMaxWindowBits = false

    /// Makes parameters that ask for nothing.
    public init() {}

    /// Who sends a header: a value that one may leave out, the other must give.
    enum Sender { case client, server }

    /// Reads the parameters of an offer or an answer; nil if a parameter is unknown, there twice, or has a wrong value or none.
    ///
    /// §7: "A server MUST decline an extension negotiation offer for this extension if" such a parameter is in it, and a client "MUST _Fail
    /// the WebSocket Connection_ if the peer server accepted an extension negotiation offer" with one.
    init?(_ offer: ExtensionOffer, from sender: Sender) {
        guard offer.name == Self.extensionName, Set(offer.parameters.map(\.name)).count == offer.parameters.count else { return nil }
        for parameter in offer.parameters {
            guard take(parameter, from: sender) else { return nil }
        }
    }

    private mutating func take(_ parameter: ExtensionOffer.Parameter, from sender: Sender) -> Bool {
        switch (parameter.name, parameter.value) {
        case ("server_no_context_takeover", nil): serverNoContextTakeover = true
        case ("client_no_context_takeover", nil): clientNoContextTakeover = true
        case ("server_max_window_bits", let value?):
            serverMaxWindowBits = Self.windowBits(value)
            return serverMaxWindowBits != nil
        case ("client_max_window_bits", let value?):
            clientMaxWindowBits = Self.windowBits(value)
            allowsClientMaxWindowBits = true
            return clientMaxWindowBits != nil
        // §7.1.2.2: in an offer it "may or may not have a value"; an answer must say one.
        case ("client_max_window_bits", nil):
            allowsClientMaxWindowBits = true
            return sender == .client
        default: return false
        }
        return true
    }

    /// §7.1.2.1: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
    private static func windowBits(_ value: String) -> Int? {
        guard !value.hasPrefix("0"), value.utf8.allSatisfy({ (0x30...0x39).contains($0) }), value.utf8.count <= 2 else { return nil }
        return Int(value).flatMap { windowBits.contains($0) ? $0 : nil }
    }

    /// The parameters as they stand in the header.
    public var offer: ExtensionOffer {
        var parameters: [ExtensionOffer.Parameter] = []
        if serverNoContextTakeover { parameters.append(.init("server_no_context_takeover")) }
        if clientNoContextTakeover { parameters.append(.init("client_no_context_takeover")) }
        if let serverMaxWindowBits { parameters.append(.init("server_max_window_bits", "\(serverMaxWindowBits)")) }
        if let clientMaxWindowBits {
            parameters.append(.init("client_max_window_bits", "\(clientMaxWindowBits)"))
        } else if allowsClientMaxWindowBits {
            parameters.append(.init("client_max_window_bits"))
        }
        return ExtensionOffer(Self.extensionName, parameters: parameters)
    }
}

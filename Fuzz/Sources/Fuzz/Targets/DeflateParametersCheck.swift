// The negotiation of permessage-deflate (RFC 7692 §7.1): any header is judged, no answer goes beyond what was offered, and what one
// side of ours says the other accepts and understands in the same way.

import WebSocketCore

@testable import WebSocketDeflate

enum DeflateParametersCheck {
    /// The input: two bytes for how the client compresses, two for the server, and the lines of `Sec-WebSocket-Extensions`.
    static func run(_ input: inout FuzzInput) throws(Finding) {
        let (client, server) = (compression(&input), compression(&input))
        try checkBothSides(client, server)
        guard let extensions = try? ExtensionList.parse(input.lines()) else { return }
        for compression in [client, server, .shared, .dedicated()] {
            try checkServer(extensions, compression)
            try checkClient(extensions, compression)
        }
    }

    private static func compression(_ input: inout FuzzInput) -> Compression {
        let (kind, value) = (input.byte(), input.byte())
        switch kind % 4 {
        case 0: return .off
        case 1: return .shared
        default: return .dedicated(windowBits: Int(value & 15), memoryLevel: Int(value >> 4))
        }
    }

    // MARK: The server

    private static func checkServer(_ extensions: [ExtensionOffer], _ compression: Compression) throws(Finding) {
        let first = extensions.lazy.compactMap { DeflateParameters($0, from: .client) }.first
        guard let agreement = DeflateNegotiation.answer(extensions, compression) else {
            if first != nil && !compression.isOff { throw Finding("declined \(ExtensionList.serialize(extensions))") }
            return
        }
        guard let offered = first, !compression.isOff else { throw Finding("took \(ExtensionList.serialize(extensions))") }
        try checkAnswer(agreement.parameters, offered)
        _ = try read(agreement.parameters)
    }

    /// Whether an answer is one that the client must take (§7.1.1, §7.1.2).
    private static func checkAnswer(_ answer: DeflateParameters, _ offered: DeflateParameters) throws(Finding) {
        var isWithinOffer = answer.serverNoContextTakeover || !offered.serverNoContextTakeover
        if let most = offered.serverMaxWindowBits { isWithinOffer = isWithinOffer && (answer.serverMaxWindowBits ?? 15) <= most }
        if let bits = answer.clientMaxWindowBits {
            isWithinOffer = isWithinOffer && offered.allowsClientMaxWindowBits && bits <= offered.clientMaxWindowBits ?? 15
        }
        if !isWithinOffer { throw Finding("\(text(answer)) does not answer \(text(offered))") }
    }

    /// The answer as the client finds it in the header.
    private static func read(_ answer: DeflateParameters) throws(Finding) -> [ExtensionOffer] {
        guard let accepted = try? ExtensionList.parse([text(answer)]), accepted == [answer.offer],
            DeflateParameters(accepted[0], from: .server)?.offer == answer.offer
        else { throw Finding("\(text(answer)) is not read as what it was written for") }
        return accepted
    }

    private static func text(_ parameters: DeflateParameters) -> String { ExtensionList.serialize([parameters.offer]) }

    // MARK: The client

    private static func checkClient(_ extensions: [ExtensionOffer], _ compression: Compression) throws(Finding) {
        let answer = extensions.first { $0.name == DeflateParameters.extensionName }
        let agreed: DeflateAgreement?
        do throws(HandshakeFailure) {
            agreed = try DeflateNegotiation.check(extensions, compression)
        } catch {
            // Goes to logs and terminals: one line.
            if error.description.utf8.contains(where: { $0 < 0x20 }) { throw Finding("not one line: \(error.description)") }
            return
        }
        guard let answer, let agreed else {
            if answer != nil || agreed != nil { throw Finding("\(ExtensionList.serialize(extensions)) came to \(agreed as Any)") }
            return
        }
        guard let parameters = DeflateParameters(answer, from: .server), parameters == agreed.parameters,
            agreed.sentWindowBits <= parameters.clientMaxWindowBits ?? 15, agreed.forgetsSent || !parameters.clientNoContextTakeover
        else { throw Finding("agreed to \(agreed) by \(ExtensionList.serialize(extensions))") }
    }

    // MARK: Both sides

    private static func checkBothSides(_ client: Compression, _ server: Compression) throws(Finding) {
        guard let offer = DeflateNegotiation.offer(client), !server.isOff else { return }
        guard let answered = DeflateNegotiation.answer([offer.offer], server) else { throw Finding("\(server) declined \(text(offer))") }
        let accepted = try read(answered.parameters)
        guard let checked = try? DeflateNegotiation.check(accepted, client) else {
            throw Finding("\(client) offers \(text(offer)) and fails the answer \(text(answered.parameters))")
        }
        try checkUnderstanding(from: checked, to: answered)
        try checkUnderstanding(from: answered, to: checked)
    }

    /// Whether what one end sends is what the other is prepared for.
    private static func checkUnderstanding(from sender: DeflateAgreement, to receiver: DeflateAgreement) throws(Finding) {
        guard sender.sentWindowBits <= receiver.receivedWindowBits, sender.forgetsSent || !receiver.forgetsReceived else {
            throw Finding("\(receiver) can not read what is sent by \(sender)")
        }
    }
}

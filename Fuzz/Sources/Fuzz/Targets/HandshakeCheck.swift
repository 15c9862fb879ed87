// The opening handshake: any request and any answer is judged, nothing is emitted that could split a header, and what one side of
// ours says the other understands.

import HTTPTypes

@testable import WebSocketCore

enum HandshakeCheck {
    /// The input: a byte of choices, then the lines of a request, of an answer, or of what a client is asked to send.
    static func run(_ input: inout FuzzInput) throws(Finding) {
        let choices = input.byte()
        let lines = input.lines()
        switch choices & 3 {
        case 0: try checkRequest(lines, choices)
        case 1: try checkAnswer(lines, choices)
        default: try checkBothSides(lines)
        }
    }

    private static let random = SIMD16<UInt8>(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)

    /// Lines of the form `Name:value`; others do not count.
    private static func fields(_ lines: some Sequence<String>) -> HTTPFields {
        var fields = HTTPFields()
        for line in lines {
            guard let colon = line.firstIndex(of: ":"), let name = HTTPField.Name(String(line[..<colon])) else { continue }
            fields.append(HTTPField(name: name, value: String(line[colon...].dropFirst())))
        }
        return fields
    }

    /// The first line is the authority.
    private static func checkRequest(_ lines: [String], _ choices: UInt8) throws(Finding) {
        let request = HTTPRequest(
            method: choices & 4 == 0 ? .get : .post, scheme: "http", authority: choices & 8 == 0 ? lines[0] : nil, path: "/",
            headerFields: fields(lines.dropFirst()))
        let version = (major: 1, minor: choices & 16 == 0 ? 1 : 0)
        let handshake: ServerHandshake
        do throws(HandshakeRefusal) {
            handshake = try ServerHandshake(request: request, version: version)
            try handshake.checkOrigin(isSecure: choices & 32 != 0, strictly: choices & 64 != 0)
        } catch {
            try checkLine(error.description)
            guard (400..<600).contains(error.status.code) else { throw Finding("refused with \(error.status)") }
            return
        }
        guard request.method == .get, version.minor == 1 else { throw Finding("took \(request)") }
        _ = try answer(to: handshake)
    }

    /// The server's answer to a handshake that it takes, with the first of everything that was offered.
    private static func answer(to handshake: ServerHandshake) throws(Finding) -> HTTPResponse {
        let extensions = Array(handshake.extensions.prefix(1))
        guard let response = try? handshake.response(subprotocol: handshake.subprotocols.first, extensions: extensions) else {
            throw Finding("can not choose what was offered: \(handshake)")
        }
        try checkFields(response.headerFields)
        return response
    }

    private static func checkAnswer(_ lines: [String], _ choices: UInt8) throws(Finding) {
        guard
            let handshake = try? ClientHandshake(
                authority: "example.com", isSecure: false, subprotocols: ["chat", "v2"],
                extensions: [ExtensionOffer("permessage-deflate")], random: random)
        else { throw Finding("can not make a handshake") }
        var fields = fields(lines)
        // Without a key to find, an input would hardly get beyond it.
        if choices & 4 == 0 { fields[.secWebSocketAccept] = AcceptKey.accept(for: handshake.key) }
        if choices & 8 == 0 { fields.append(HTTPField(name: .upgrade, value: "websocket")) }
        let response = HTTPResponse(status: choices & 16 == 0 ? .switchingProtocols : .ok, headerFields: fields)
        let agreement: ClientHandshake.Agreement
        do throws(HandshakeFailure) {
            agreement = try handshake.validate(response)
        } catch {
            return try checkLine(error.description)
        }
        let isOffered = agreement.subprotocol.map(handshake.subprotocols.contains) ?? true
        guard isOffered, agreement.extensions.allSatisfy({ $0.name == "permessage-deflate" }), response.status.code == 101 else {
            throw Finding("agreed to \(agreement)")
        }
    }

    /// The lines are the authority, the path, subprotocols, extensions, and additional fields.
    private static func checkBothSides(_ lines: [String]) throws(Finding) {
        let line = { (index: Int) in index < lines.count ? lines[index] : "" }
        let extensions = line(3).split(separator: ",").prefix(ExtensionList.maximumOffers).map { ExtensionOffer(String($0)) }
        guard
            let client = try? ClientHandshake(
                authority: line(0), path: line(1), isSecure: false,
                subprotocols: line(2).split(separator: ",").prefix(Subprotocols.maximumOffers).map(String.init), extensions: extensions,
                additional: fields(lines.dropFirst(4)), random: random)
        else { return }
        try checkFields(client.request.headerFields)
        let server: ServerHandshake
        do throws(HandshakeRefusal) {
            server = try ServerHandshake(request: client.request, version: (1, 1))
        } catch {
            throw Finding("refused what this client sends: \(error)")
        }
        guard server.subprotocols == client.subprotocols, server.extensions == client.extensions, server.key == client.key else {
            throw Finding("\(server) is not what \(client) says")
        }
        try checkAgreement(client, server)
    }

    private static func checkAgreement(_ client: ClientHandshake, _ server: ServerHandshake) throws(Finding) {
        let response = try answer(to: server)
        guard let agreement = try? client.validate(response) else { throw Finding("the client refuses \(response)") }
        guard agreement.subprotocol == client.subprotocols.first, agreement.extensions == Array(client.extensions.prefix(1)) else {
            throw Finding("agreed to \(agreement) by \(response)")
        }
    }

    // MARK: What is emitted

    private static func checkFields(_ fields: HTTPFields) throws(Finding) {
        for field in fields { try checkLine(field.value) }
    }

    /// One line: no control character that could end it.
    private static func checkLine(_ text: String) throws(Finding) {
        if text.utf8.contains(where: { $0 == 0 || $0 == 10 || $0 == 13 }) { throw Finding("not one line: \(text)") }
    }
}

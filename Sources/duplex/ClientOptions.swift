// What `connect` and `bench` both can be told of a connection.

import ArgumentParser
import HTTPTypes
import NIOSSL
import WebSockets

/// How a client introduces itself, and whom it trusts.
struct ClientOptions: ParsableArguments {
    @Option(
        name: [.customLong("header"), .customShort("H")],
        help: ArgumentHelp(
            "A header for the handshake; may be repeated.", valueName: "name: value"))
    var headers: [HeaderArgument] = []

    @Option(
        name: .customLong("subprotocol"), help: ArgumentHelp("A subprotocol to offer; may be repeated, the best first.", valueName: "name"))
    var subprotocols: [String] = []

    @Option(help: ArgumentHelp("Trust the certificate authorities in this file instead of the system's.", valueName: "PEM"))
    var caCertificate: String?

    @Option(
        help: ArgumentHelp(
            "The name that the server's certificate must bear, and that is sent to it (SNI), instead of the address's.", valueName: "name"))
    var serverName: String?

    @Option(help: ArgumentHelp("A certificate to show the server, and those that vouch for it.", valueName: "PEM"))
    var clientCertificate: String?

    @Option(help: ArgumentHelp("The private key of --client-certificate.", valueName: "PEM"))
    var clientKey: String?

    @Flag(help: "Do not check the server's certificate: anybody can then pose as the server.")
    var insecure = false

    func validate() throws {
        guard (clientCertificate == nil) == (clientKey == nil) else {
            throw ValidationError("--client-certificate and --client-key go together")
        }
        guard !insecure || caCertificate == nil else {
            throw ValidationError("--insecure checks no certificate, so --ca-certificate has no use: leave one out")
        }
    }

    var configuration: WebSocketClient.Configuration {
        var configuration = WebSocketClient.Configuration()
        for header in headers { configuration.headers.append(header.field) }
        configuration.subprotocols = subprotocols
        if let caCertificate { configuration.tls.roots = .file(caCertificate) }
        configuration.tls.serverName = serverName
        if let clientCertificate, let clientKey {
            configuration.tls.identity = .files(certificateChain: clientCertificate, privateKey: clientKey)
        }
        if insecure { configuration.tls.certificateVerification = .none }
        return configuration
    }
}

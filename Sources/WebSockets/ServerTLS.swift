// A server's certificate and key, from PEM files, read again when they change.

import Logging
import NIOCertificateReloading
import NIOSSL

/// What `wss` needs on a server: TLS 1.2 and up.
public struct ServerTLS: Sendable {
    /// The path of the certificate chain in PEM, the server's own certificate first.
    public var certificateChain: String
    /// The path of the private key in PEM.
    public var privateKey: String
    /// The path of the certificates, in PEM, that clients' certificates must come from; nil to ask clients for none (mutual TLS).
    public var clientRoots: String?

    /// Names the files.
    public init(certificateChain: String, privateKey: String, clientRoots: String? = nil) {
        self.certificateChain = certificateChain
        self.privateKey = privateKey
        self.clientRoots = clientRoots
    }

    /// Reads the files now, and says clearly what is wrong with them.
    func load(logger: Logger) throws -> (context: NIOSSLContext, reloader: TimedCertificateReloader) {
        let source = TimedCertificateReloader.Configuration(
            refreshInterval: .seconds(10),
            certificateSource: .init(location: .file(path: certificateChain), format: .pem),
            privateKeySource: .init(location: .file(path: privateKey), format: .pem)
        ) {
            $0.onCertificateLoadFailed = { failure in
                logger.warning("the certificate or its key can not be read again; the ones before stay in use: \(failure.error)")
            }
        }
        let reloader = TimedCertificateReloader(configuration: source)
        var configuration = try makeConfiguration()
        do {
            // Before the reloader reads them: it would log in its own words what is said here.
            _ = try NIOSSLContext(configuration: configuration)
            try reloader.reload()
            configuration.setCertificateReloader(reloader)
            return (try NIOSSLContext(configuration: configuration), reloader)
        } catch {
            throw ServerError("the certificate \(certificateChain) and the private key \(privateKey) \(Self.why(error))")
        }
    }

    private static func why(_ error: any Error) -> String {
        // Each was read by itself; what the engine does not take now is one that is not the other's.
        if case NIOSSLError.failedToLoadPrivateKey = error { return "do not match: the key must be the certificate's own" }
        return "can not be used: \(TLSFailure.reason(error))"
    }

    private func makeConfiguration() throws -> TLSConfiguration {
        let chain = try read(certificateChain, "certificate", PEMFile.certificates)
        let key = try read(privateKey, "private key", PEMFile.privateKey)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        if let clientRoots {
            configuration.trustRoots = .certificates(try read(clientRoots, "client roots", PEMFile.certificates))
            configuration.certificateVerification = .noHostnameVerification
        }
        return configuration
    }

    private func read<T>(_ path: String, _ what: String, _ body: (String) throws(PEMFile.Unusable) -> T) throws -> T {
        do throws(PEMFile.Unusable) {
            return try body(path)
        } catch {
            throw ServerError("the \(what) \(path) can not be used: \(error)")
        }
    }
}

/// A server could not start or go on.
public struct ServerError: Error, Sendable, CustomStringConvertible {
    /// What happened and what to do.
    public let description: String

    init(_ description: String) { self.description = description }
}

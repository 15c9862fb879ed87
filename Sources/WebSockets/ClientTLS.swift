// TLS of a client: whom it trusts, and how it shows who it is. RFC 6455 §4.1 step 5; the certificate is checked as in RFC 9110 §4.3.4.

public import NIOSSL
import Synchronization

/// TLS of a client, for `wss`.
public struct ClientTLS: Sendable, Hashable {
    /// Which certificates are trusted to vouch for servers.
    public enum Roots: Sendable, Hashable {
        /// Those of the system.
        case system
        /// Those in a PEM file, instead of the system's.
        case file(String)
        /// Those in PEM text, instead of the system's.
        case pem(String)
    }

    /// A certificate and its private key, by which a client shows who it is.
    public struct Identity: Sendable, Hashable {
        enum Source: Sendable, Hashable {
            case files(certificateChain: String, privateKey: String)
            case pem(certificateChain: String, privateKey: String)
        }
        let source: Source

        /// An identity in two PEM files: the certificate with the intermediate ones behind it, and its key.
        public static func files(certificateChain: String, privateKey: String) -> Identity {
            Identity(source: .files(certificateChain: certificateChain, privateKey: privateKey))
        }

        /// An identity in PEM text.
        public static func pem(certificateChain: String, privateKey: String) -> Identity {
            Identity(source: .pem(certificateChain: certificateChain, privateKey: privateKey))
        }
    }

    /// Whom to trust.
    public var roots: Roots
    /// What to show a server that asks for a certificate; nil for none.
    public var identity: Identity?
    /// The name that the certificate must bear and that is sent to the server (SNI); nil for the host of the address.
    public var serverName: String?
    /// How much of the server's certificate is checked. `.none` connects to anybody who answers, impostors included: for trying
    /// things out on one's own machine.
    public var certificateVerification: CertificateVerification
    /// The lowest version spoken: 1.2, as RFC 8996 has buried what was before.
    public var minimumVersion: TLSVersion

    /// Makes TLS settings.
    public init(
        roots: Roots = .system, identity: Identity? = nil, serverName: String? = nil,
        certificateVerification: CertificateVerification = .fullVerification, minimumVersion: TLSVersion = .tlsv12
    ) {
        self.roots = roots
        self.identity = identity
        self.serverName = serverName
        self.certificateVerification = certificateVerification
        self.minimumVersion = minimumVersion
    }
}

extension ClientTLS {
    /// The last context made of settings that name no files. Parsing the system's roots takes milliseconds of a core, which a client that
    /// opens a thousand connections should spend once.
    private static let last = Mutex<(settings: ClientTLS, context: NIOSSLContext)?>(nil)

    /// What TLS connections are made with; blocks on files, if there are any.
    func context(_ url: WebSocketURL) throws(ConnectError) -> NIOSSLContext {
        // Files are read each time, as certificates in them are renewed.
        guard !namesFiles else { return try makeContext(url) }
        if let known = Self.last.withLock({ $0?.settings == self ? $0?.context : nil }) { return known }
        let context = try makeContext(url)
        Self.last.withLock { $0 = (self, context) }
        return context
    }

    private var namesFiles: Bool {
        if case .file = roots { return true }
        if case .files = identity?.source { return true }
        return false
    }

    private func makeContext(_ url: WebSocketURL) throws(ConnectError) -> NIOSSLContext {
        let settings = try configuration(url)
        return try Self.reading("the TLS settings", url) { try NIOSSLContext(configuration: settings) }
    }

    /// The settings as NIO has them; blocks on files, if there are any.
    package func configuration(_ url: WebSocketURL) throws(ConnectError) -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = minimumVersion
        configuration.certificateVerification = certificateVerification
        // A server that speaks HTTP/2 as well must know that this connection will not.
        configuration.applicationProtocols = ["http/1.1"]
        configuration.trustRoots = try trustRoots(url)
        if let identity {
            let (chain, key) = try identity.load(url)
            configuration.certificateChain = chain.map { .certificate($0) }
            configuration.privateKey = .privateKey(key)
        }
        return configuration
    }

    private func trustRoots(_ url: WebSocketURL) throws(ConnectError) -> NIOSSLTrustRoots {
        let certificates: [NIOSSLCertificate]
        switch roots {
        case .system: return .default
        case .file(let path):
            certificates = try Self.reading("the roots in \(path)", url) { try PEMFile.certificates(path) }
        case .pem(let text):
            certificates = try Self.reading("the roots", url) { try NIOSSLCertificate.fromPEMBytes(Array(text.utf8)) }
        }
        guard !certificates.isEmpty else { throw ConnectError(.tlsConfiguration, url, "the roots hold no certificate in PEM") }
        return .certificates(certificates)
    }

    fileprivate static func reading<T>(_ what: String, _ url: WebSocketURL, _ body: () throws -> T) throws(ConnectError) -> T {
        do {
            return try body()
        } catch {
            throw ConnectError(.tlsConfiguration, url, "\(what) cannot be used: \(TLSFailure.reason(error))", underlying: error)
        }
    }

    /// What the certificate must bear: the name to send and check, or nil to check for the address that is connected to.
    package func checkedName(_ url: WebSocketURL, throughProxy: Bool) throws(ConnectError) -> String? {
        if let serverName { return serverName }
        guard url.isAddress else { return url.host }
        // The TLS engine compares an address with that of the connection, which is the proxy's.
        guard !throughProxy || certificateVerification != .fullVerification else {
            throw ConnectError(
                .tlsConfiguration, url, "a certificate for an address cannot be checked through a proxy: set the name in tls.serverName")
        }
        return nil
    }
}

extension ClientTLS.Identity {
    fileprivate func load(_ url: WebSocketURL) throws(ConnectError) -> ([NIOSSLCertificate], NIOSSLPrivateKey) {
        switch source {
        case .files(let chain, let key):
            (
                try ClientTLS.reading("the client certificate in \(chain)", url) { try PEMFile.certificates(chain) },
                try ClientTLS.reading("the client key in \(key)", url) { try PEMFile.privateKey(key) }
            )
        case .pem(let chain, let key):
            (
                try ClientTLS.reading("the client certificate", url) { try NIOSSLCertificate.fromPEMBytes(Array(chain.utf8)) },
                try ClientTLS.reading("the client key", url) { try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem) }
            )
        }
    }
}

// What went wrong in TLS, in words. BoringSSL says it in codes, and does not say why it does not trust a certificate; what can be read
// from the certificate is added.

import NIOCore
import NIOSSL

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

enum TLSFailure {
    /// What became of the TLS handshake.
    ///
    /// - Parameter certificate: the server's, if it got that far.
    static func connectError(_ error: any Error, _ url: WebSocketURL, certificate: NIOSSLCertificate?) -> ConnectError? {
        switch error {
        case let error as NIOSSLExtraError where error == .failedToValidateHostname || error == .serverHostnameImpossibleToMatch:
            ConnectError(
                .tls, url, "the server's certificate is not for \(url.host) (\(error)); if another name is meant, set tls.serverName",
                underlying: error)
        case NIOSSLError.handshakeFailed(let failure): handshakeFailed(failure, url, certificate, error)
        // Raised for an address that is not in the certificate.
        case NIOSSLError.unableToValidateCertificate, NIOSSLError.noCertificateToValidate, NIOSSLError.cannotFindPeerIP:
            ConnectError(
                .tls, url, "the server's certificate is not for \(url.host); if another name is meant, set tls.serverName",
                underlying: error)
        case NIOSSLError.uncleanShutdown, NIOSSLError.readInInvalidTLSState:
            ConnectError(.connectionLost, url, "the server closed the connection without an answer", underlying: error)
        // Raised once TLS is set up, as a server of TLS 1.3 judges the client's certificate only then.
        case let failure as BoringSSLError: handshakeFailed(failure, url, certificate, error)
        default: nil
        }
    }

    private static func handshakeFailed(
        _ failure: BoringSSLError, _ url: WebSocketURL, _ certificate: NIOSSLCertificate?, _ error: any Error
    ) -> ConnectError {
        guard case .sslError(let stack) = failure else {
            return ConnectError(.tls, url, "the TLS handshake failed: \(failure)", underlying: error)
        }
        if stack.contains(.eofDuringHandshake) {
            return ConnectError(
                .connectionLost, url, "the server closed the connection during the TLS handshake; \(ConnectError.tlsHint(url))",
                underlying: error)
        }
        let codes = stack.map(code)
        if codes.contains("CERTIFICATE_VERIFY_FAILED") {
            return ConnectError(.tls, url, notTrusted(certificate), underlying: error)
        }
        if codes.contains("WRONG_VERSION_NUMBER") || codes.contains("HTTP_REQUEST") {
            return ConnectError(
                .tls, url, "the server answered with bytes that are not TLS: it does not speak TLS on this port; try ws://",
                underlying: error)
        }
        return ConnectError(.tls, url, alert(codes) ?? "the TLS handshake failed: \(codes.joined(separator: ", "))", underlying: error)
    }

    /// What a server means by an alert (RFC 8446 §6.2).
    private static func alert(_ codes: [String]) -> String? {
        guard let alert = codes.first(where: { $0.contains("ALERT_") }) else { return nil }
        if alert.hasSuffix("CERTIFICATE_REQUIRED") { return "the server wants a client certificate: set tls.identity" }
        if alert.hasSuffix("CERTIFICATE") || alert.hasSuffix("UNKNOWN_CA") || alert.hasSuffix("CERTIFICATE_UNKNOWN") {
            return "the server does not take the client certificate of tls.identity (\(alert))"
        }
        return "the server ended TLS (\(alert))"
    }

    /// Why a certificate is not trusted, as far as it can be seen.
    private static func notTrusted(_ certificate: NIOSSLCertificate?) -> String {
        let now = time(nil)
        if let certificate, certificate.notValidAfter < now { return "the server's certificate has expired" }
        if let certificate, certificate.notValidBefore > now {
            return "the server's certificate is not valid yet; is this machine's clock right?"
        }
        return """
            the server's certificate is not trusted: no root that is trusted here has signed it; if you trust it, name its root in \
            tls.roots
            """
    }

    /// What an error of the TLS engine says about files, keys and handshakes.
    static func reason(_ error: any Error) -> String {
        switch error {
        case NIOSSLError.failedToLoadCertificate: "it holds no certificate in PEM"
        case NIOSSLError.failedToLoadPrivateKey: "it holds no private key in PEM, or one that is not the certificate's"
        case NIOSSLError.handshakeFailed(let failure), NIOSSLError.shutdownFailed(let failure): reason(failure)
        case BoringSSLError.sslError(let stack): stack.map(code).joined(separator: ", ")
        case let error as IOError: ConnectError.reason(error)
        default: "\(error)"
        }
    }

    /// The name of an error in its description, which reads `Error: 268… error:1000007d:SSL routines:OPENSSL_internal:NAME at file:line`.
    private static func code(_ error: BoringSSLInternalError) -> String {
        let text = error.description
        let end = text.firstRange(of: " at ")?.lowerBound ?? text.endIndex
        return String(text[..<end].split(separator: ":").last ?? text[...])
    }
}

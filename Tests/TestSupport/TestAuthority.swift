// Certificates made for one test: an authority, and what it signs.

import Crypto
package import NIOSSL
import SwiftASN1
import X509

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A certificate authority that nobody trusts by itself.
package struct TestAuthority {
    /// A certificate and its key, in PEM.
    package struct Identity {
        package let certificate: String
        package let key: String

        package func nioSSL() throws -> (chain: [NIOSSLCertificateSource], key: NIOSSLPrivateKeySource) {
            (
                try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)).map { .certificate($0) },
                .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem))
            )
        }
    }

    /// The authority's own certificate in PEM.
    package let root: String
    private let key = P256.Signing.PrivateKey()
    private let name: DistinguishedName

    package init(_ commonName: String = "Duplex test authority") throws {
        name = try DistinguishedName { CommonName(commonName) }
        root = try Self.pem(
            subject: name, key.publicKey, issuer: name, key, validFor: 3600,
            extensions: Certificate.Extensions { Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil)) })
    }

    /// Signs a certificate for names and addresses.
    ///
    /// - Parameter validFor: seconds from now; negative for one that has expired.
    package func identity(names: [String] = [], addresses: [[UInt8]] = [], validFor: Double = 3600) throws -> Identity {
        let key = P256.Signing.PrivateKey()
        let all =
            names.map { GeneralName.dnsName($0) } + addresses.map { .ipAddress(ASN1OctetString(contentBytes: $0[...])) }
        let certificate = try Self.pem(
            subject: DistinguishedName { CommonName(names.first ?? "test") }, key.publicKey, issuer: name, self.key, validFor: validFor,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                if !all.isEmpty { SubjectAlternativeNames(all) }
            })
        return Identity(certificate: certificate, key: key.pemRepresentation)
    }

    /// A context for a server with such a certificate.
    ///
    /// - Parameter asksForCertificate: whether the client must show a certificate of this authority.
    package func serverContext(_ identity: Identity, asksForCertificate: Bool = false) throws -> NIOSSLContext {
        let (chain, key) = try identity.nioSSL()
        var configuration = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: key)
        if asksForCertificate {
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(root.utf8)))
        }
        return try NIOSSLContext(configuration: configuration)
    }

    /// Files of such a certificate and its key, for a server that reads them.
    package func files(_ identity: Identity, in folder: TestFolder) throws -> (certificate: String, key: String) {
        (try folder.write(identity.certificate, "server.pem"), try folder.write(identity.key, "server.key"))
    }

    private static func pem(
        subject: DistinguishedName, _ publicKey: P256.Signing.PublicKey, issuer: DistinguishedName, _ key: P256.Signing.PrivateKey,
        validFor: Double, extensions: Certificate.Extensions
    ) throws -> String {
        let now = Date.now
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(publicKey), notValidBefore: now - 7200, notValidAfter: now + validFor,
            issuer: issuer, subject: subject, signatureAlgorithm: .ecdsaWithSHA256, extensions: extensions,
            issuerPrivateKey: .init(key))
        return try certificate.serializeAsPEM().pemString
    }
}

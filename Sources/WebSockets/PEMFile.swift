// Certificates and keys in files, with words for what is wrong with one: the TLS library says "failed to load" for all of it.

import NIOSSL

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

enum PEMFile {
    /// Why a file is of no use.
    struct Unusable: Error, CustomStringConvertible {
        let description: String
    }

    /// More than any chain of certificates takes; a file that is larger is some other file.
    private static let maxSize = 1 << 20

    /// The certificates in a file: one at least.
    static func certificates(_ path: String) throws(Unusable) -> [NIOSSLCertificate] {
        let certificates = try read(path) { try NIOSSLCertificate.fromPEMBytes($0) }
        guard !certificates.isEmpty else { throw Unusable(description: TLSFailure.reason(NIOSSLError.failedToLoadCertificate)) }
        return certificates
    }

    /// The private key in a file.
    static func privateKey(_ path: String) throws(Unusable) -> NIOSSLPrivateKey {
        try read(path) { try NIOSSLPrivateKey(bytes: $0, format: .pem) }
    }

    private static func read<T>(_ path: String, _ parse: ([UInt8]) throws -> T) throws(Unusable) -> T {
        let bytes = try contents(path)
        do { return try parse(bytes) } catch { throw Unusable(description: TLSFailure.reason(error)) }
    }

    private static func contents(_ path: String) throws(Unusable) -> [UInt8] {
        guard let file = fopen(path, "r") else { throw Unusable(description: String(cString: strerror(errno))) }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: maxSize + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        // A directory opens and does not read.
        guard ferror(file) == 0 else { throw Unusable(description: String(cString: strerror(errno))) }
        guard count <= maxSize else { throw Unusable(description: "it is over \(maxSize) bytes") }
        return Array(bytes[..<count])
    }
}

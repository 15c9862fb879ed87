import Foundation
import NIOCore
import NIOSSL
import TestSupport
import Testing

@testable import WebSockets

/// `wss` with certificates that are made here.
@Suite(.timeLimit(.minutes(1))) struct ClientTLSTests {
    private let authority: TestAuthority
    init() throws { authority = try TestAuthority() }

    private var trusting: ClientTLS { ClientTLS(roots: .pem(authority.root)) }

    @Test func connectsToAnAddress() async throws {
        let identity = try authority.identity(addresses: [[127, 0, 0, 1]])
        #expect(try await echo(authority.serverContext(identity), "127.0.0.1", trusting) == "hello")
    }

    @Test func connectsToAName() async throws {
        let identity = try authority.identity(names: ["localhost"])
        #expect(try await echo(authority.serverContext(identity), "localhost", trusting) == "hello")
    }

    @Test func checksForAnotherNameIfToldSo() async throws {
        let identity = try authority.identity(names: ["other.example"])
        var tls = trusting
        tls.serverName = "other.example"
        #expect(try await echo(authority.serverContext(identity), "127.0.0.1", tls) == "hello")
    }

    @Test func connectsToAnybodyIfToldSo() async throws {
        let identity = try authority.identity(names: ["other.example"])
        #expect(try await echo(authority.serverContext(identity), "127.0.0.1", ClientTLS(certificateVerification: .none)) == "hello")
    }

    @Test func showsACertificate() async throws {
        let context = try authority.serverContext(authority.identity(names: ["localhost"]), asksForCertificate: true)
        let mine = try authority.identity(names: ["me"])
        var tls = trusting
        tls.identity = .pem(certificateChain: mine.certificate, privateKey: mine.key)
        #expect(try await echo(context, "localhost", tls) == "hello")
    }

    @Test func saysThatACertificateIsWanted() async throws {
        let context = try authority.serverContext(authority.identity(names: ["localhost"]), asksForCertificate: true)
        let error = await failure(context, "localhost", trusting)
        #expect(error?.kind == .tls)
        #expect(error?.description.contains("the server wants a client certificate: set tls.identity") == true, "\(error as Any)")
    }

    @Test func saysThatItsCertificateIsNotTaken() async throws {
        let context = try authority.serverContext(authority.identity(names: ["localhost"]), asksForCertificate: true)
        let mine = try TestAuthority("somebody else").identity(names: ["me"])
        var tls = trusting
        tls.identity = .pem(certificateChain: mine.certificate, privateKey: mine.key)
        let error = await failure(context, "localhost", tls)
        #expect(error?.kind == .tls)
        #expect(error?.description.contains("does not take the client certificate") == true, "\(error as Any)")
    }

    @Test func saysThatARootIsNotTrusted() async throws {
        let context = try authority.serverContext(authority.identity(names: ["localhost"]))
        for tls in [ClientTLS(), ClientTLS(roots: .pem(try TestAuthority("somebody else").root))] {
            let error = await failure(context, "localhost", tls)
            #expect(error?.kind == .tls)
            #expect(error?.description.contains("not trusted") == true, "\(error as Any)")
            #expect(error?.description.contains("tls.roots") == true)
        }
    }

    @Test func saysThatACertificateHasExpired() async throws {
        let context = try authority.serverContext(authority.identity(names: ["localhost"], validFor: -3600))
        let error = await failure(context, "localhost", trusting)
        #expect(error?.kind == .tls)
        #expect(error?.description.contains("expired") == true, "\(error as Any)")
    }

    @Test(arguments: ["localhost", "127.0.0.1"])
    func saysThatACertificateIsForAnother(host: String) async throws {
        let context = try authority.serverContext(authority.identity(names: ["other.example"], addresses: [[127, 0, 0, 2]]))
        let error = await failure(context, host, trusting)
        #expect(error?.kind == .tls)
        #expect(error?.description.contains("is not for \(host)") == true, "\(error as Any)")
    }

    @Test func saysThatAServerDoesNotSpeakTLS() async throws {
        try await ScriptedPeer.serve { peer in
            try await peer.write("HTTP/1.1 400 Bad Request\r\n\r\n")
            await peer.readToEnd()
        } while: { server in
            let error = await #expect(throws: ConnectError.self) {
                try await WebSocketClient.connect("wss://127.0.0.1:\(server.port)", configuration: .patient) { _ in }
            }
            #expect(error?.kind == .tls)
            #expect(error?.description.contains("does not speak TLS on this port; try ws://") == true, "\(error as Any)")
        }
    }

    @Test func saysThatTheServerClosedDuringTLS() async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.read(1)
        } while: { server in
            let error = await #expect(throws: ConnectError.self) {
                try await WebSocketClient.connect("wss://127.0.0.1:\(server.port)", configuration: .patient) { _ in }
            }
            #expect(error?.kind == .connectionLost, "\(error as Any)")
            #expect(error?.description.contains("TLS on this port?") == true, "\(error as Any)")
        }
    }

    /// What servers of TLS answer to a plaintext request: OpenSSL's and BoringSSL's alert, whole and in pieces, or nothing.
    @Test(arguments: [[[0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x0A]], [[0x15], [0x03, 0x03, 0, 2, 2, 70]], []] as [[[UInt8]]])
    func saysThatAServerSpeaksTLS(pieces: [[UInt8]]) async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.read(1)
            // The client may have had enough after the first.
            for piece in pieces { try? await peer.write(piece) }
            if !pieces.isEmpty { await peer.readToEnd() }
        } while: { server in
            let error = await #expect(throws: ConnectError.self) {
                try await WebSocketClient.connect("ws://127.0.0.1:\(server.port)", configuration: .patient) { _ in }
            }
            #expect(error?.description.contains("try wss://") == true, "\(error as Any)")
            #expect(error?.kind == (pieces.isEmpty ? .connectionLost : .invalidResponse))
            #expect(error?.description.contains("answered with TLS bytes") == !pieces.isEmpty, "\(error as Any)")
        }
    }

    @Test func saysWhatServersOfTLSSayInHTTP() async throws {
        for body in ["<html>The plain HTTP request was sent to HTTPS port</html>", "Client sent an HTTP request to an HTTPS server.\n"] {
            try await ScriptedPeer.serve { peer in
                _ = try await peer.read(1)
                try await peer.write("HTTP/1.1 400 Bad Request\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
                await peer.readToEnd()
            } while: { server in
                let error = await #expect(throws: HandshakeRefused.self) {
                    try await WebSocketClient.connect("ws://127.0.0.1:\(server.port)", configuration: .patient) { _ in }
                }
                #expect(error?.description.contains("speaks TLS on this port; try wss://") == true, "\(error as Any)")
            }
        }
    }

    @Test func aRecordOfTLSIsKnown() {
        for type in UInt8.min...UInt8.max {
            let isTLS = type == 21 || type == 22
            #expect(TLSDetector.isRecord(ByteBuffer(bytes: [type, 3, 1])) == isTLS)
            #expect(TLSDetector.isRecord(ByteBuffer(bytes: [type])) == isTLS)
            #expect(!TLSDetector.isRecord(ByteBuffer(bytes: [type, 2])))
        }
        #expect(!TLSDetector.isRecord(ByteBuffer()))
    }

    @Test func neverFollowsARedirectOutOfTLS() async throws {
        let context = try authority.serverContext(authority.identity(names: ["localhost"]))
        try await ScriptedPeer.serve(tls: context) { peer in
            _ = try await peer.readHead()
            try await peer.write("HTTP/1.1 302 x\r\nLocation: ws://localhost/\r\n\r\n")
            await peer.readToEnd()
        } while: { server in
            let error = await #expect(throws: ConnectError.self) {
                try await WebSocketClient.connect(
                    "wss://localhost:\(server.port)", configuration: .init(tls: trusting, timeout: .seconds(60))
                ) { _ in }
            }
            #expect(error?.kind == .redirect)
        }
    }

    @Test(arguments: [
        (ClientTLS(roots: .file("/nonexistent.pem")), "the roots in /nonexistent.pem cannot be used"),
        (ClientTLS(roots: .pem("nothing")), "the roots"),
        (
            ClientTLS(identity: .files(certificateChain: "/no.pem", privateKey: "/no.key")),
            "the client certificate in /no.pem cannot be used"
        ),
        (ClientTLS(identity: .pem(certificateChain: "x", privateKey: "y")), "the client certificate"),
    ])
    func saysWhichFileIsUnusable(tls: ClientTLS, reason: String) async throws {
        let error = await #expect(throws: ConnectError.self) {
            try await WebSocketClient.connect("wss://127.0.0.1:1/", configuration: .init(tls: tls, timeout: .seconds(60))) { _ in }
        }
        #expect(error?.kind == .tlsConfiguration)
        #expect(error?.description.contains(reason) == true, "\(error as Any)")
    }

    @Test func readsFilesAnewEachTime() throws {
        let url = try WebSocketURL("wss://h")
        let file = FileManager.default.temporaryDirectory.appending(path: "duplex-\(UInt64.random(in: 0...UInt64.max)).pem")
        try Data(authority.root.utf8).write(to: file)
        let tls = ClientTLS(roots: .file(file.path))
        _ = try tls.context(url)
        try FileManager.default.removeItem(at: file)
        #expect(throws: ConnectError.self) { try tls.context(url) }
    }

    // MARK: Helpers

    private func echo(_ context: NIOSSLContext, _ host: String, _ tls: ClientTLS) async throws -> String? {
        try await ScriptedPeer.serve(tls: context) { peer in
            try await peer.upgrade()
            try await peer.echo()
        } while: { server in
            try await WebSocketClient.connect("wss://\(host):\(server.port)", configuration: .init(tls: tls, timeout: .seconds(60))) {
                socket in
                try await socket.send("hello")
                for try await message in socket { return message.text }
                return nil
            }
        }
    }

    private func failure(_ context: NIOSSLContext, _ host: String, _ tls: ClientTLS) async -> ConnectError? {
        await #expect(throws: ConnectError.self) { _ = try await echo(context, host, tls) }
    }
}

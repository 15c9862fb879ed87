// TLS on a server: versions, clients' certificates, and files that change.

import Logging
import NIOCertificateReloading
import NIOCore
import NIOPosix
import NIOSSL
import TestSupport
import Testing

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(1))) struct ServerTLSTests {
    private let folder: TestFolder
    private let authority: TestAuthority

    init() throws {
        folder = try TestFolder()
        authority = try TestAuthority()
    }

    /// What a client gets from a server with such TLS; nothing if it does not get in.
    private func answer(_ tls: ServerTLS, _ client: NIOSSLContext) async throws -> String {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.tls = tls
        return try await withServer(configuration) { port, _ in try await greet(port, client) }
    }

    private func greet(_ port: Int, _ client: NIOSSLContext) async throws -> String {
        let client = try await RawClient.connect(port: port, tls: client)
        try? await client.send("GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return String(decoding: await client.readToEnd(), as: UTF8.self)
    }

    // MARK: Who gets in

    @Test(arguments: [TLSVersion.tlsv12, .tlsv13])
    func speaksTLS(_ version: TLSVersion) async throws {
        let client = try authority.clientContext {
            $0.minimumTLSVersion = version
            $0.maximumTLSVersion = version
        }
        try await #expect(answer(authority.serverTLS(in: folder), client).hasSuffix("hello"))
    }

    @Test func refusesTLS11() async throws {
        let client = try authority.clientContext {
            $0.minimumTLSVersion = .tlsv1
            $0.maximumTLSVersion = .tlsv11
        }
        try await #expect(answer(authority.serverTLS(in: folder), client) == "")
    }

    @Test func asksForACertificateOfTheRightAuthority() async throws {
        let tls = try authority.serverTLS(in: folder, asksForCertificate: true)
        let good = try authority.identity(names: ["client"])
        let foreign = try TestAuthority("another").identity(names: ["client"])
        try await #expect(answer(tls, authority.clientContext(good)).hasSuffix("hello"))
        try await #expect(answer(tls, authority.clientContext(foreign)) == "")
        try await #expect(answer(tls, authority.clientContext()) == "")
    }

    // MARK: Files

    @Test func readsTheFilesAgain() async throws {
        let (tls, log) = (try authority.serverTLS(in: folder), LogRecorder())
        let (context, reloader) = try tls.load(logger: log.logger)
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(NIOSSLServerHandler(context: context), Greeter())
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = server.localAddress?.port ?? 0
        try await #expect(greet(port, authority.clientContext()) == "hello")
        let next = try TestAuthority("the next one")
        _ = try next.serverTLS(in: folder)
        try reloader.reload()
        try await #expect(greet(port, next.clientContext()) == "hello")
        try await #expect(greet(port, authority.clientContext()) == "")
        // What can not be read leaves the last good one in use.
        try folder.write("nonsense", "server.pem")
        #expect(throws: (any Error).self) { try reloader.reload() }
        try await #expect(greet(port, next.clientContext()) == "hello")
        #expect(log.shown.map(\.level) == [.warning])
        try await server.close()
    }

    private final class Greeter: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "hello")), promise: nil)
            context.close(promise: nil)
        }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    @Test func namesTheFileThatIsWrong() throws {
        let good = try authority.serverTLS(in: folder)
        let empty = try folder.write("", "empty.pem")
        let foreign = try folder.write(authority.identity(names: ["localhost"]).key, "foreign.key")
        let missing = folder.path + "/missing.pem"
        let cases = [
            (ServerTLS(certificateChain: missing, privateKey: good.privateKey), missing),
            (ServerTLS(certificateChain: empty, privateKey: good.privateKey), empty),
            (ServerTLS(certificateChain: good.certificateChain, privateKey: missing), missing),
            (ServerTLS(certificateChain: good.certificateChain, privateKey: empty), empty),
            (ServerTLS(certificateChain: good.certificateChain, privateKey: good.privateKey, clientRoots: missing), missing),
            (ServerTLS(certificateChain: good.certificateChain, privateKey: foreign), "key"),
        ]
        for (tls, name) in cases {
            let error = #expect(throws: ServerError.self) { try tls.load(logger: LogRecorder().logger) }
            #expect(error?.description.contains(name) == true, "\(String(describing: error))")
        }
    }
}

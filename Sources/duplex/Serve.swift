// `duplex serve`: a server to try things out with.

public import ArgumentParser
import EngineIO
import Gallery
import HTTPTypes
import Logging
import NIOCore
import PubSub
import RedisPubSub
import RedisSocketIO
import ServiceLifecycle
import SocketIO
import UnixSignals
import WebSocketCore
public import WebSockets

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve WebSockets, and pages to see and try them.",
        discussion: """
            Prints its address once it listens: open that in a browser.

            / is a gallery of what WebSockets are for, /console a page to try them by hand. /echo sends back what it gets, and so does /echo-async, which is written in the other style. /broadcast sends \
            what anyone says to everyone on it, the sender included; /people tells how many are on it. /pubsub?topics=a,b&publish=a \
            subscribes to topics and publishes what it gets; patterns=a/%2B,b/%23 subscribes to all that match. /socket.io/ serves \
            Socket.IO: echo, add numbers, join and leave a room, say something in a room, send a chat message to everyone. /health is JSON.

            With --redis, several nodes are one: what is published on /pubsub and /broadcast, and Socket.IO's rooms, where Node.js servers \
            with the adapter that --redis-adapter names may take part. Long-polling may come to any node. The gallery stays each node's own, but for /nodes, \
            which shows all nodes.

            SIGINT (Ctrl-C) and SIGTERM drain: no new connections, the open ones closed with 1001, for 30 seconds at most.

            The exit status is 0 after draining, 1 if the server could not start, 64 for wrong arguments.
            """)

    @Option(help: "The address to listen on.") var host = "127.0.0.1"
    @Option(help: "The port to listen on; 0 for any free one.") var port = 8080
    @Option(help: "How many threads serve connections.") var threads = WebSocketServer.defaultThreads
    @Option(help: ArgumentHelp("The certificate chain, to serve wss; read again when it changes.", valueName: "PEM")) var tlsCertificate:
        String?
    @Option(help: ArgumentHelp("The certificate's private key.", valueName: "PEM")) var tlsKey: String?
    @Option(help: ArgumentHelp("The largest message that is taken; a larger one closes its connection with 1009.", valueName: "bytes"))
    var maxMessageSize = 1 << 20
    @Option(help: ArgumentHelp("The most connections at a time; others are answered with 503.", valueName: "n")) var maxConnections: Int?
    @Option(help: ArgumentHelp("An origin whose pages may connect, beside the server's own; may be repeated.", valueName: "origin"))
    var allowOrigin: [String] = []
    @Option(help: "What moves the bytes of WebSockets: automatic (on Linux, without TLS, an epoll loop of Duplex's own) or nio.")
    var transport = WebSocketServer.Transport.automatic
    @Option(help: ArgumentHelp(CompressionArgument.help, valueName: "how")) var compression = CompressionArgument.shared
    @Flag(help: "Keep what Socket.IO clients miss while they are away for up to two minutes (connection state recovery).")
    var socketioRecovery = false
    @Option(
        help: ArgumentHelp(
            "Share topics and Socket.IO's rooms with other nodes: redis://[[user]:password@]host[:port], rediss:// for TLS, redis+sentinel://host[:port],…/master.",
            valueName: "URL"))
    var redis: String?
    @Option(help: ArgumentHelp(RedisAdapterArgument.help, valueName: "how")) var redisAdapter = RedisAdapterArgument.pubsub
    @Flag(help: ArgumentHelp("End with the standard input, as what `duplex compare` starts does.", visibility: .hidden))
    var untilInputEnds = false
    @OptionGroup var logging: LogOptions

    func validate() throws {
        guard (0...65535).contains(port) else { throw ValidationError("--port must be 0 to 65535") }
        guard (1...1024).contains(threads) else { throw ValidationError("--threads must be 1 to 1024") }
        guard maxMessageSize >= 0 else { throw ValidationError("--max-message-size must not be negative") }
        guard maxConnections ?? 1 > 0 else { throw ValidationError("--max-connections must be at least 1") }
        guard (tlsCertificate == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-certificate and --tls-key go together")
        }
        if let redis {
            do throws(RedisURLError) {
                _ = try RedisURL(redis)
            } catch {
                // Without what was typed: there may be a password in it.
                throw ValidationError("--redis is \(error)")
            }
        }
        for origin in allowOrigin where Origin(origin) == nil {
            throw ValidationError("--allow-origin \(origin) is not an origin: write scheme://host[:port]")
        }
    }

    func run() async throws {
        logging.bootstrap()
        if untilInputEnds { Self.endWithInput() }
        let redis = try self.redis.map { try RedisClient(url: $0) }
        let server = WebSocketServer(host: host, port: port, configuration: makeConfiguration(redis))
        let crowd = CrowdProcess { [server] in members(of: try await server.waitUntilListening()) }
        let gallery = Exhibition(crowd: crowd, cluster: redis.map(Self.galleryCluster))
        gallery.mount(on: server)
        addRoutes(to: server, gallery, redis)
        let ticks = Task { await gallery.run(on: server) }
        defer {
            ticks.cancel()
            crowd.end()
        }
        let services = ServiceGroup(
            // The last is the first to be told to end.
            services: [server, GalleryFarewell(gallery: gallery)], gracefulShutdownSignals: [.sigint, .sigterm],
            logger: Logger(label: "duplex"))
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await services.run() }
                let address = try await server.waitUntilListening()
                try Descriptor.output.writeAll(Array("Duplex is listening on \(url(address))\n".utf8))
                try await group.waitForAll()
            }
            await redis?.close()
        } catch let error as ServerError {
            try? Descriptor.error.writeAll(Array("duplex: \(error)\n".utf8))
            throw ExitCode(1)
        }
    }

    private static func endWithInput() {
        Task.detached {
            // Nothing is ever written to it.
            while let bytes = try? Descriptor.input.readSome(atMost: 64), !bytes.isEmpty {}
            leave(0)
        }
    }

    /// How the server's own machine comes to the chat's lobby.
    private func members(of address: SocketAddress) -> String {
        let name = ["0.0.0.0": "127.0.0.1", "::": "[::1]"][host] ?? (host.contains(":") ? "[\(host)]" : host)
        return "\(tlsCertificate == nil ? "ws" : "wss")://\(name):\(address.port ?? port)/chat"
    }

    private func url(_ address: SocketAddress) -> String {
        let shown = host.contains(":") ? "[\(host)]" : host
        return "\(tlsCertificate == nil ? "http" : "https")://\(shown):\(address.port ?? port)/"
    }

    func makeConfiguration(_ redis: RedisClient? = nil) -> WebSocketServer.Configuration {
        var configuration = WebSocketServer.Configuration(
            allowedOrigins: Set(allowOrigin.compactMap(Origin.init)), threads: threads, maxConnections: maxConnections)
        configuration.connection.limits = Limits(maxMessageSize: maxMessageSize)
        configuration.connection.compression = compression.compression
        configuration.transport = transport
        if let tlsCertificate, let tlsKey {
            configuration.tls = ServerTLS(certificateChain: tlsCertificate, privateKey: tlsKey)
        }
        // The gallery's exhibits and the count of people are this node's alone: every node has its own.
        configuration.backplane = redis.map { RedisBackplane($0) { !Exhibition.hasTopic($0) && $0 != People.topic } }
        return configuration
    }

    /// Under a prefix of its own: of the topics under the other, clients of /pubsub choose the names.
    private static func galleryCluster(_ redis: RedisClient) -> GalleryCluster {
        GalleryCluster(RedisBackplane(redis, prefix: "duplex-gallery:")) { redis.status.state.rawValue }
    }

    func makeSocketIOConfiguration(_ redis: RedisClient? = nil) -> SocketIOConfiguration {
        var configuration = SocketIOConfiguration(recovery: socketioRecovery ? SocketIORecovery() : nil)
        if let redis {
            configuration.adapter = redisAdapter.over(redis)
            configuration.engine.forwarder = EngineIORedisForwarder.over(redis)
        }
        let origins = Set(allowOrigin.compactMap(Origin.init))
        if !origins.isEmpty { configuration.engine.cors = EngineIOCORS(origins: .these(origins), allowsCredentials: true) }
        return configuration
    }

    func addRoutes(to server: WebSocketServer, _ gallery: Exhibition, _ redis: RedisClient? = nil) {
        let people = People()
        // Callbacks, the faster of the two styles; /echo-async is the same in the other.
        server.webSocket("/echo") { (_: WebSocket) in EchoHandler() }
        server.webSocket("/echo-async") { socket in
            for try await message in socket { try await socket.send(message) }
        }
        server.webSocket("/broadcast") { (_: WebSocket) in BroadcastHandler(people: people) }
        server.webSocket("/people") { (_: WebSocket) in PeopleHandler(people: people) }
        server.webSocket("/pubsub", upgrade: Self.decideTopics) { (_: WebSocket, handler: TopicsHandler) in handler }
        server.mount(SocketIOExample.make(makeSocketIOConfiguration(redis)))
        server.http { [weak server] request in Self.respond(to: request, server, gallery, redis?.status) }
    }

    private static func decideTopics(_ request: ServerRequest) async -> Upgrade<TopicsHandler> {
        do throws(TopicError) {
            return .accept(try TopicsHandler(request))
        } catch {
            return .reject(.text("\(error)\n", status: .badRequest))
        }
    }

    static func respond(
        to request: ServerRequest, _ server: WebSocketServer?, _ gallery: Exhibition, _ redis: RedisStatus? = nil
    ) -> ServerResponse {
        guard request.head.method == .get || request.head.method == .head else {
            var response = ServerResponse.text("Method not allowed\n", status: .methodNotAllowed)
            response.head.headerFields[.allow] = "GET, HEAD"
            return response
        }
        switch request.path {
        case "/console": return page()
        case "/health": return health(server, redis)
        default: return gallery.respond(to: request) ?? .text("Not found\n", status: .notFound)
        }
    }

    private static func page() -> ServerResponse {
        var response = ServerResponse.html(String(decoding: PackageResources.index_html, as: UTF8.self))
        response.head.headerFields[.contentSecurityPolicy] = """
            default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self' ws: wss:; img-src data:; \
            base-uri 'none'; form-action 'none'; frame-ancestors 'none'
            """
        return response
    }

    /// A node without its Redis serves its own clients, and says so here: whether that is healthy is for who asks to judge.
    private static func health(_ server: WebSocketServer?, _ redis: RedisStatus?) -> ServerResponse {
        guard let counts = server?.statistics else { return .json("{\"status\":\"stopping\"}\n", status: .serviceUnavailable) }
        return .json(
            "{\"status\":\"ok\",\"connections\":\(counts.open),\"connectionsTotal\":\(counts.total),"
                + "\"messagesReceived\":\(counts.received),\"messagesSent\":\(counts.sent)\(redis.map(health) ?? "")}\n")
    }
}

extension Serve {
    private static func health(_ redis: RedisStatus) -> String {
        ",\"redis\":{\"status\":\"\(redis.state.rawValue)\",\"published\":\(redis.published),\"received\":\(redis.received),"
            + "\"publicationsDropped\":\(redis.publicationsDropped),\"connectionsLost\":\(redis.connectionsLost)}"
    }
}

/// Has the gallery say farewell when draining begins.
private struct GalleryFarewell: Service {
    let gallery: Exhibition

    func run() async {
        guard (try? await gracefulShutdown()) != nil else { return }
        gallery.drain()
    }
}

extension WebSocketServer.Transport: ExpressibleByArgument {}

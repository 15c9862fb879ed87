// One client of a comparison: HTTP/1.1 over a connection that is kept, or a WebSocket.

import HTTPTypes
import NIOConcurrencyHelpers
import NIOCore
import NIOHTTP1
import NIOPosix
import WebSockets

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// An event, as far as it matters here.
struct CompareEvent: Decodable, Sendable {
    var number: Int
    /// When the server made it, in its milliseconds.
    var time: Double

    /// The event of a JSON object, the events of an array; nothing for anything else.
    static func all(_ json: ByteBuffer) -> [CompareEvent] {
        let data = Data(json.readableBytesView)
        if json.readableBytesView.first == UInt8(ascii: "[") { return (try? JSONDecoder().decode([Self].self, from: data)) ?? [] }
        return (try? JSONDecoder().decode(Self.self, from: data)).map { [$0] } ?? []
    }
}

/// What a browser's requests say beside the path and the host: some 400 bytes, of which a WebSocket's handshake has most, too.
enum BrowserFields {
    static let common: [(String, String)] = [
        ("Connection", "keep-alive"), ("sec-ch-ua-platform", "\"Linux\""),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
        ),
        ("sec-ch-ua", "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\""), ("sec-ch-ua-mobile", "?0"),
        ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"), ("Accept-Language", "en-US,en;q=0.9"),
    ]

    static let webSocket: HTTPFields = {
        var fields = HTTPFields()
        let others = common.filter { ["User-Agent", "Accept-Encoding", "Accept-Language"].contains($0.0) }
        for (name, value) in others + [("Pragma", "no-cache")] {
            if let name = HTTPField.Name(name) { fields.append(HTTPField(name: name, value: value)) }
        }
        fields[.cacheControl] = "no-cache"
        return fields
    }()
}

/// One client of a comparison.
final class CompareClient: Sendable {
    private let kind: CompareKind
    private let plan: ComparePlan
    private let path: String
    private let tally: CompareTally
    private let box = NIOLockedValueBox<(channel: (any Channel)?, socket: WebSocket?)>((nil, nil))

    init(_ kind: CompareKind, _ plan: ComparePlan, _ path: String, _ tally: CompareTally) {
        self.kind = kind
        self.plan = plan
        self.path = path
        self.tally = tally
    }

    func connect(_ group: any EventLoopGroup) async throws {
        guard kind != .webSocket else { return try await connectSocket(group) }
        let (kind, plan, path, tally) = (kind, plan, path, tally)
        let channel = try await ClientBootstrap(group: group)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(HTTPPoller(kind, plan, path, tally))
                }
            }
            .connect(host: plan.server.host, port: plan.server.port).get()
        box.withLockedValue { $0.channel = channel }
    }

    private func connectSocket(_ group: any EventLoopGroup) async throws {
        var configuration = WebSocketClient.Configuration()
        configuration.eventLoopGroup = group
        configuration.headers = BrowserFields.webSocket
        let tally = tally
        let socket = try await WebSocketClient.connect(
            "ws://\(plan.server.authority)\(path)/websocket", configuration: configuration, handler: { _ in CompareListener(tally: tally) })
        box.withLockedValue { $0.socket = socket }
    }

    func close() async {
        let (channel, socket) = box.withLockedValue { $0 }
        try? await channel?.close().get()
        socket?.close()
        if let socket { _ = await socket.waitUntilClosed() }
    }
}

/// Takes what a WebSocket brings.
private struct CompareListener: WebSocketHandler {
    let tally: CompareTally
    func received(_ message: Message, from socket: WebSocket) { tally.add(CompareEvent.all(message.payload)) }
}

/// Asks over HTTP, and takes the answers; the last handler of its pipeline.
private final class HTTPPoller: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let kind: CompareKind
    private let plan: ComparePlan
    private let path: String
    private let tally: CompareTally
    private var body = ByteBuffer()
    private var last: Int?
    private var askedAt = NIODeadline.now()
    private var isRefused = false

    init(_ kind: CompareKind, _ plan: ComparePlan, _ path: String, _ tally: CompareTally) {
        self.kind = kind
        self.plan = plan
        self.path = path
        self.tally = tally
    }

    private var target: String {
        let after = last.map { "?after=\($0)" } ?? ""
        switch kind {
        case .polling: return path + "/polling" + after
        case .longPolling: return path + "/long-polling" + after
        default: return path + "/events"
        }
    }

    func channelActive(context: ChannelHandlerContext) { ask(context) }

    private func ask(_ context: ChannelHandlerContext) {
        askedAt = .now()
        body.clear()
        var headers = HTTPHeaders([("Host", plan.server.authority)] + BrowserFields.common)
        headers.add(name: "Accept", value: kind == .serverSentEvents ? "text/event-stream" : "*/*")
        headers.add(name: "Referer", value: "http://\(plan.server.authority)/compare")
        if kind == .serverSentEvents { headers.add(name: "Cache-Control", value: "no-cache") }
        context.write(wrapOutboundOut(.head(.init(version: .http1_1, method: .GET, uri: target, headers: headers))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): isRefused = head.status != .ok
        case .body(let bytes):
            body.writeImmutableBuffer(bytes)
            if kind == .serverSentEvents { takeLines() }
        case .end: answered(context)
        }
    }

    private func answered(_ context: ChannelHandlerContext) {
        guard kind != .serverSentEvents, !isRefused else { return context.close(promise: nil) }
        take(body)
        let due = kind == .polling ? askedAt + .nanoseconds(Int64(plan.interval * 1e6)) : .now()
        guard due > .now() else { return ask(context) }
        context.eventLoop.assumeIsolated().scheduleTask(deadline: due) { if context.channel.isActive { self.ask(context) } }
    }

    private func take(_ json: ByteBuffer) {
        let events = CompareEvent.all(json)
        last = events.last?.number ?? last
        tally.add(events)
    }

    /// Takes the events that are whole: `data: …` and an empty line each.
    private func takeLines() {
        while let length = body.readableBytesView.firstIndex(of: 0x0A).map({ $0 - body.readerIndex }),
            var line = body.readSlice(length: length + 1)
        {
            guard line.readableBytes > 7 else { continue }
            line.moveReaderIndex(forwardBy: 6)
            take(line)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

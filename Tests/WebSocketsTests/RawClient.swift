// A client on a real socket that sends the bytes a test gives it, and shows the bytes that come back.

import NIOCore
import NIOPosix
import NIOSSL

/// A TCP connection without any protocol; used by one task.
final class RawClient {
    struct Refused: Error { let head: String }

    let channel: any Channel
    private var inbound: AsyncStream<ByteBuffer>.AsyncIterator
    /// Everything that has come and was not taken.
    private(set) var received: [UInt8] = []

    private init(_ channel: any Channel, _ inbound: AsyncStream<ByteBuffer>) {
        self.channel = channel
        self.inbound = inbound.makeAsyncIterator()
    }

    /// - Parameter reads: whether it reads what comes; `readOn` begins later.
    static func connect(port: Int, tls: NIOSSLContext? = nil, reads: Bool = true) async throws -> RawClient {
        let (bytes, feed) = AsyncStream<ByteBuffer>.makeStream()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(LineCutter())
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: "localhost"))
                    }
                    try channel.pipeline.syncOperations.addHandler(Feeder(feed))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
        return RawClient(channel, bytes)
    }

    /// A connection whose handshake is done.
    static func open(port: Int, path: String = "/echo", fields: String = "", reads: Bool = true) async throws -> RawClient {
        let client = try await connect(port: port)
        try await client.send(handshake(path, fields))
        let head = try await client.readHead()
        guard head.hasPrefix("HTTP/1.1 101 ") else { throw Refused(head: head) }
        if !reads { try await client.channel.setOption(.autoRead, value: false).get() }
        return client
    }

    /// Sends bytes and gives all that comes until the server closes.
    static func answer(port: Int, to bytes: some Sequence<UInt8>) async throws -> String {
        let client = try await connect(port: port)
        // The server may close before all has been sent; what it said before is what counts.
        try? await client.send(bytes)
        return String(decoding: await client.readToEnd(), as: UTF8.self)
    }

    static func handshake(_ path: String = "/echo", _ fields: String = "") -> String {
        "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\(fields)\r\n"
    }

    // MARK: Sending

    func send(_ bytes: some Sequence<UInt8>) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }
    func send(_ text: String) async throws { try await send(text.utf8) }
    func close() async { try? await channel.close() }

    // MARK: Receiving

    func readOn() async throws {
        try await channel.setOption(.autoRead, value: true).get()
        channel.read()
    }

    /// Reads on until the condition holds or the server has closed.
    func read(until condition: ([UInt8]) -> Bool) async {
        while !condition(received), let more = await inbound.next(isolation: #isolation) { received += more.readableBytesView }
    }

    /// Everything until the server closes.
    func readToEnd() async -> [UInt8] {
        await read { _ in false }
        defer { received = [] }
        return received
    }

    /// So many bytes, taken out of what has come; fewer if the server has closed.
    func read(_ count: Int) async -> [UInt8] {
        await read { $0.count >= count }
        defer { received.removeFirst(min(count, received.count)) }
        return Array(received.prefix(count))
    }

    /// The header of a response, taken out of what has come.
    func readHead() async throws -> String {
        await read { Self.headEnd($0) != nil }
        guard let end = Self.headEnd(received) else { throw Refused(head: String(decoding: received, as: UTF8.self)) }
        return String(decoding: await read(end), as: UTF8.self)
    }

    /// A response with `Content-Length`: its header, and its body.
    func readResponse() async throws -> (head: String, body: String) {
        let head = try await readHead()
        let length = field("Content-Length", in: head).flatMap { Int($0) } ?? 0
        return (head, String(decoding: await read(length), as: UTF8.self))
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        return (4...bytes.count).first { bytes[($0 - 4)..<$0].elementsEqual("\r\n\r\n".utf8) }
    }
}

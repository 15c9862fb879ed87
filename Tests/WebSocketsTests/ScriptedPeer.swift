// A server on a real socket that says what a test has it say, byte by byte.

import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import WebSocketCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

/// A server that runs a script with every connection.
struct ScriptedPeer: Sendable {
    typealias Script = @Sendable (PeerConnection) async throws -> Void

    let port: Int
    var url: String { "ws://127.0.0.1:\(port)" }

    /// Serves while the body runs.
    @discardableResult
    static func serve<R: Sendable>(
        tls: NIOSSLContext? = nil, _ script: @escaping Script, while body: (ScriptedPeer) async throws -> R
    ) async throws -> R {
        let scripts = Mutex<[Task<Void, Never>]>([])
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let (bytes, feed) = AsyncStream<ByteBuffer>.makeStream()
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(LineCutter())
                    if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                    try pipeline.addHandler(Feeder(feed))
                    let task = Task { await run(script, PeerConnection(bytes, channel)) }
                    scripts.withLock { $0.append(task) }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        defer {
            server.close(promise: nil)
            for task in scripts.withLock({ $0 }) { task.cancel() }
        }
        return try await body(ScriptedPeer(port: server.localAddress?.port ?? 0))
    }

    private static func run(_ script: Script, _ connection: sending PeerConnection) async {
        let channel = connection.channel
        // A script may end by what the client does; what the client makes of it is what is tested.
        try? await script(connection)
        channel.close(promise: nil)
    }
}

/// One connection of the scripted peer; used by one task.
final class PeerConnection {
    struct Ended: Error {}

    let channel: any Channel
    private var inbound: AsyncStream<ByteBuffer>.AsyncIterator
    private var bytes: [UInt8] = []

    init(_ inbound: AsyncStream<ByteBuffer>, _ channel: any Channel) {
        self.inbound = inbound.makeAsyncIterator()
        self.channel = channel
    }

    // MARK: Bytes

    func read(_ count: Int) async throws -> [UInt8] {
        while bytes.count < count {
            guard let more = await inbound.next(isolation: #isolation) else { throw Ended() }
            bytes += more.readableBytesView
        }
        defer { bytes.removeFirst(count) }
        return Array(bytes.prefix(count))
    }

    func write(_ bytes: [UInt8]) async throws { try await channel.writeAndFlush(ByteBuffer(bytes: bytes)).get() }
    func write(_ text: String) async throws { try await write(Array(text.utf8)) }

    /// Writes, and from then on speaks TLS.
    func writeAndSecure(_ text: String, _ context: NIOSSLContext) async throws {
        let channel = channel
        try await channel.eventLoop.submit {
            channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context), position: .first)
        }.get()
    }

    /// Waits for the client's end.
    func readToEnd() async { while await inbound.next(isolation: #isolation) != nil {} }

    // MARK: HTTP

    /// Reads a head: everything up to the blank line.
    func readHead() async throws -> String {
        var head: [UInt8] = []
        while !head.suffix(4).elementsEqual("\r\n\r\n".utf8) { head += try await read(1) }
        return String(decoding: head, as: UTF8.self)
    }

    /// Reads a request and agrees to it.
    @discardableResult
    func upgrade(_ more: String = "") async throws -> String {
        let head = try await readHead()
        try await write(Self.agreement(to: head, more))
        return head
    }

    static func agreement(to head: String, _ more: String = "") -> String {
        """
        HTTP/1.1 101 Switching Protocols\r
        Upgrade: websocket\r
        Connection: Upgrade\r
        Sec-WebSocket-Accept: \(AcceptKey.accept(for: field("Sec-WebSocket-Key", in: head) ?? ""))\r
        \(more)\r

        """
    }

    // MARK: Frames

    /// Reads a frame of up to 125 bytes.
    func readFrame() async throws -> (opcode: UInt8, payload: [UInt8]) {
        let start = try await read(2)
        let key = try await read(4)
        let masked = try await read(Int(start[1] & 0x7F))
        return (start[0] & 0x0F, masked.enumerated().map { $1 ^ key[$0 % 4] })
    }

    func writeFrame(_ opcode: UInt8, _ payload: [UInt8]) async throws {
        try await write([0x80 | opcode, UInt8(payload.count)] + payload)
    }

    /// Sends back what comes, until a close frame; says its code.
    @discardableResult
    func echo() async throws -> Int? {
        while true {
            let (opcode, payload) = try await readFrame()
            if opcode == 10 { continue }
            try await writeFrame(opcode == 9 ? 10 : opcode, payload)
            if opcode == 8 { return payload.count < 2 ? nil : Int(payload[0]) << 8 | Int(payload[1]) }
        }
    }
}

/// The value of a header field in a head.
func field(_ name: String, in head: String) -> String? {
    for line in head.split(separator: "\r\n") {
        let parts = line.split(separator: ":", maxSplits: 1)
        if parts.count == 2, parts[0].lowercased() == name.lowercased() { return parts[1].drop { $0 == " " }.description }
    }
    return nil
}

/// A port of 127.0.0.1 that nothing listens on, and that nobody else gets meanwhile: a socket is bound to it.
final class SilentPort {
    let number: Int
    private let descriptor: CInt

    init() throws {
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        #if canImport(Darwin)
        let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #else
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #endif
        self.descriptor = descriptor
        let isBound = address.withSockAddr { bind(descriptor, $0, socklen_t($1)) }
        var name = [UInt8](repeating: 0, count: 128)
        var length = socklen_t(name.count)
        let isNamed = name.withUnsafeMutableBytes { bytes in
            bytes.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress, &length) }
        }
        // The port stands in network order behind the family, which takes two bytes everywhere.
        number = Int(name[2]) << 8 | Int(name[3])
        guard isBound == 0, isNamed == 0 else { throw PeerConnection.Ended() }
    }

    deinit { close(descriptor) }
}

// A live stream: one page records, the others watch. A message is a cluster of WebM, which begins with a key frame: whatever a slow viewer
// misses, the next message can be shown.

import NIOCore
import PubSub
import Synchronization
import WebSockets

final class LiveStream: Exhibit {
    enum Request: Decodable { case start(type: String, name: String), stop, again }
    enum Event: Encodable {
        case live(type: String, name: String, user: String)
        case over
        case viewers(count: Int)
    }
    /// What is on the air. Clusters are numbered, so that a viewer knows what it missed.
    struct Channel { var owner: WebSocket, type: String, name: String, number: UInt32 = 0, start: Message? = nil, newest: Message? = nil }

    /// The first bytes of a WebM file, and of a cluster in it (RFC 8794 §11.2.1, RFC 9559 §5.1.3).
    private static let header: [UInt8] = [0x1A, 0x45, 0xDF, 0xA3], cluster: [UInt8] = [0x1F, 0x43, 0xB6, 0x75]
    private static let maxChunk = 768 * 1024
    private let channel = Mutex<Channel?>(nil)
    private let limits = RateLimits(perSecond: 8, burst: 24)

    func mount(on server: WebSocketServer) {
        server.webSocket("/live/{user}") { [self] socket in
            defer { stop(socket) }
            try join(socket)
            try await socket.converse(within: limits) { message in
                if let bytes = message.binary { return try publish(bytes, socket) }
                switch try message.decoded(as: Request.self, atMost: 400) {
                case .start(let type, let name): try start(type, try name.checked("A name", 1...24), socket)
                case .stop: stop(socket)
                case .again: channel.withLock { begin($0, socket) }
                }
            }
        }
    }

    private func join(_ socket: WebSocket) throws {
        try channel.withLock { channel in
            try socket.subscribe("live/viewers", whenSlow: .latest)
            // Over its mark of unsent bytes, a viewer skips the oldest clusters, as wholes.
            try socket.subscribe("live", whenSlow: .dropOldest, as: PresenceMember(id: socket.user))
            begin(channel, socket)
        }
    }

    /// Who comes late gets the beginning of the file, which says how to read it, and the newest cluster, which has a key frame.
    private func begin(_ channel: Channel?, _ socket: WebSocket) {
        guard let channel else { return }
        socket.trySend(.json(Event.live(type: channel.type, name: channel.name, user: channel.owner.user)))
        for message in [channel.start, channel.newest] { if let message { socket.trySend(message) } }
    }

    private func start(_ type: String, _ name: String, _ socket: WebSocket) throws(Refusal) {
        guard type.hasPrefix("video/webm"), type.utf8.count < 60 else { throw Refusal("A stream is WebM here, with its codecs named.") }
        try channel.withLock { channel throws(Refusal) in
            if let channel, channel.owner !== socket { throw Refusal("\(channel.name) is on the air already.") }
            channel = Channel(owner: socket, type: type, name: name)
            socket.publish(.json(Event.live(type: type, name: name, user: socket.user)), to: "live", includingSelf: true)
        }
    }

    private func stop(_ socket: WebSocket) {
        channel.withLock { channel in
            guard channel?.owner === socket else { return }
            channel = nil
            socket.publish(.json(Event.over), to: "live", includingSelf: true)
        }
    }

    /// Passes on the beginning or a cluster, with its number in front.
    private func publish(_ bytes: ByteBuffer, _ socket: WebSocket) throws(Refusal) {
        guard bytes.readableBytes <= Self.maxChunk else { throw Refusal("A cluster may have \(Self.maxChunk / 1024) KB at most.") }
        let isStart = bytes.readableBytesView.starts(with: Self.header)
        guard isStart || bytes.readableBytesView.starts(with: Self.cluster) else { throw Refusal("This is no cluster of WebM.") }
        try channel.withLock { channel throws(Refusal) in
            guard var live = channel, live.owner === socket else { throw Refusal("You are not on the air.") }
            guard isStart != (live.start != nil) else { throw Refusal("A stream has one beginning, and then clusters.") }
            let message = Message.binary(ByteBuffer(integer: live.number).readableBytesView + bytes.readableBytesView).compressed(.never)
            if isStart { live.start = message } else { live.newest = message }
            live.number &+= 1
            channel = live
            socket.publish(message, to: "live")
        }
    }

    func run(on server: WebSocketServer) async {
        var shown = 0
        while (try? await Task.sleep(for: .milliseconds(500))) != nil {
            let count = server.members(of: "live").count
            if count != shown { server.publish(.json(Event.viewers(count: count)), to: "live/viewers") }
            shown = count
        }
    }
}

// Nodes: several servers over one Redis; who is there, and what is said on any of them.

import NIOCore
import PubSub
import Synchronization
import WebSockets

final class Nodes: Exhibit {
    enum Request: Decodable { case enter(name: String), say(text: String) }
    enum Event: Encodable {
        /// What this node knows; without `redis`, it was started alone.
        case nodes(own: String, redis: String?, rows: [NodeTable.Row])
        case history(lines: [NodeRoom.Said])
        case said(said: NodeRoom.Said)
    }

    private let id: String
    private let room: Mutex<NodeRoom>
    private let limits = RateLimits(perSecond: 5, burst: 10)
    private let cluster: GalleryCluster?
    private let tick: Duration

    init(
        _ cluster: GalleryCluster? = nil, id: String = NodeNews.makeID(), interval: Duration = .seconds(2),
        tick: Duration = .milliseconds(500)
    ) {
        self.cluster = cluster
        self.id = id
        self.tick = tick
        room = Mutex(NodeRoom(id: id, interval: interval))
    }

    func mount(on server: WebSocketServer) {
        server.webSocket("/nodes/{user}") { [self, weak server] socket in
            var tab: Int?
            defer { if let tab { room.withLock { $0.leave(tab) } } }
            try await socket.converse(Request.self, within: limits) { request in
                switch request {
                case .enter(let name): tab = try enter(tab, try name.checked("A name", 1...32), socket)
                case .say(let text):
                    let text = try text.checked("A line", 1...500)
                    guard let line = room.withLock({ $0.line(text, by: tab, socket.user) }) else { throw Refusal("Enter first.") }
                    take(line, server)
                    cluster?.tell(.said(line: line))
                }
            }
        }
    }

    /// Under the lock, so that what is said meanwhile is either history or comes after it. (Or both: lines have numbers.)
    private func enter(_ tab: Int?, _ name: String, _ socket: WebSocket) throws -> Int {
        try room.withLock { room in
            guard tab == nil else { return room.enter(tab, as: name) }
            try socket.subscribe("nodes/lines", whenSlow: .dropOldest)
            try socket.subscribe("nodes/table", whenSlow: .latest)
            socket.trySend(.json(Event.history(lines: room.lines)))
            return room.enter(nil, as: name)
        }
    }

    /// Shows this node's tabs what was said, here or elsewhere: under the lock, so that they all hear it in one order.
    private func take(_ line: NodeLine, _ server: WebSocketServer?) {
        room.withLock { room in
            guard let said = room.take(line, at: .now) else { return }
            server?.publish(.json(Event.said(said: said)), to: "nodes/lines", isLocal: true)
        }
    }

    // MARK: Other nodes

    private func heard(_ news: NodeNews, _ server: WebSocketServer?) {
        switch news {
        case .here(let node): room.withLock { $0.hear(node, at: .now) }
        case .said(let line): if line.node != id { take(line, server) }
        case .gone(let node): room.withLock { $0.forget(node) }
        }
    }

    func run(on server: WebSocketServer) async {
        guard let address = try? await server.waitUntilListening(), let host = address.ipAddress, let port = address.port else { return }
        room.withLock { $0.name = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
        await cluster?.start { [weak self, weak server] in self?.heard($0, server) }
        repeat { beat(server, at: .now) } while (try? await Task.sleep(for: tick)) != nil
        await cluster?.stop()
    }

    private func beat(_ server: WebSocketServer, at now: ContinuousClock.Instant) {
        let connections = server.statistics.open
        let figures = room.withLock { room in
            let figures = room.beat(connections: connections, at: now)
            let event = Event.nodes(own: id, redis: cluster?.status, rows: room.table.rows(at: now))
            if room.hasTabs { server.publish(.json(event), to: "nodes/table", isLocal: true) }
            return figures
        }
        if let figures { cluster?.tell(.here(node: figures)) }
    }

    func drain() { cluster?.tell(.gone(id: id)) }
}

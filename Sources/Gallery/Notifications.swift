// Notifications: to every tab of one user, and seen once is seen everywhere.

import PubSub
import Synchronization
import WebSockets

final class Notifications: Exhibit {
    enum Request: Decodable { case notify(to: String, text: String, isUrgent: Bool), acknowledge(id: Int) }
    enum Event: Encodable {
        /// What waits for the user, told to each new tab.
        case inbox(user: String, notices: [Notice])
        case notice(notice: Notice)
        /// To the sender's tabs: it is on its way, to so many tabs.
        case sent(notice: Notice, tabs: Int)
        /// To all tabs of both.
        case acknowledged(id: Int)
    }
    struct Notice: Codable { var id: Int, from: String, to: String, text: String, isUrgent: Bool }
    struct Desk { var last = 0, waiting: [String: [Notice]] = [:] }

    private let desk = Mutex(Desk())
    private let limits = RateLimits(perSecond: 2, burst: 10)

    func mount(on server: WebSocketServer) {
        server.webSocket("/notifications/{user}") { [self, weak server] socket in
            let user: String
            do throws(Refusal) { user = try socket.user.checked("A name", 1...32) } catch { return try await socket.send(error.message) }
            try open(socket, of: user)
            try await socket.converse(Request.self, within: limits) { request in
                switch request {
                case .notify(let to, let text, let isUrgent):
                    let to = try to.checked("A name", 1...32)
                    let tabs = await server?.subscriberCount(of: "notifications/\(to)") ?? 0
                    let notice = Notice(id: 0, from: user, to: to, text: try text.checked("A notice", 1...200), isUrgent: isUrgent)
                    try send(notice, tabs, from: socket)
                case .acknowledge(let id):
                    try acknowledge(id, by: user, socket)
                }
            }
        }
    }

    /// Under the lock, as all that follows: nothing is both in the inbox and announced, or neither.
    private func open(_ socket: WebSocket, of user: String) throws {
        try desk.withLock { desk in
            try socket.subscribe("notifications/\(user)")
            socket.trySend(.json(Event.inbox(user: user, notices: desk.waiting[user] ?? [])))
        }
    }

    private func send(_ notice: Notice, _ tabs: Int, from socket: WebSocket) throws(Refusal) {
        try desk.withLock { desk throws(Refusal) in
            guard desk.waiting[notice.to] != nil || desk.waiting.count < 1000 else {
                throw Refusal("Notices wait for 1,000 users already.")
            }
            guard desk.waiting[notice.to]?.count ?? 0 < 50 else { throw Refusal("50 notices wait for \(notice.to) already.") }
            var notice = notice
            desk.last += 1
            notice.id = desk.last
            desk.waiting[notice.to, default: []].append(notice)
            socket.publish(.json(Event.notice(notice: notice)), to: "notifications/\(notice.to)", includingSelf: true)
            socket.publish(.json(Event.sent(notice: notice, tabs: tabs)), to: "notifications/\(notice.from)", includingSelf: true)
        }
    }

    private func acknowledge(_ id: Int, by user: String, _ socket: WebSocket) throws(Refusal) {
        try desk.withLock { desk throws(Refusal) in
            guard let notice = desk.waiting[user]?.first(where: { $0.id == id }) else { throw Refusal("No such notice waits for you.") }
            desk.waiting[user]?.removeAll { $0.id == id }
            if desk.waiting[user]?.isEmpty == true { desk.waiting[user] = nil }
            for name in Set([user, notice.from]) {
                socket.publish(.json(Event.acknowledged(id: id)), to: "notifications/\(name)", includingSelf: true)
            }
        }
    }
}

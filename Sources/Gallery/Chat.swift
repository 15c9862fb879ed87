// Group chat: rooms, who is here, who is typing, and what was said before one came.

import PubSub
import Synchronization
import WebSockets

final class Chat: Exhibit {
    enum Request: Decodable { case join(room: String, name: String), say(text: String), typing }
    enum Event: Encodable {
        case joined(room: String, history: [Line])
        case said(line: Line)
        case typing(user: String, name: String)
        case here(count: Int, names: [String])
    }
    struct Line: Codable { var number: Int, user: String, name: String, text: String }
    struct Seat { var room: String, name: String }
    struct Room { var lines: [Line] = [], said = 0, here = 0, hasChanged = false }

    private let rooms = Mutex<[String: Room]>([:])
    private let limits = RateLimits(perSecond: 5, burst: 10)
    private let crowd: CrowdControl?
    init(_ crowd: CrowdControl? = nil) { self.crowd = crowd }

    func mount(on server: WebSocketServer) {
        crowd?.mount(on: server)
        server.webSocket("/chat/{user}") { [self] socket in
            var seat: Seat?
            defer { leave(seat, socket) }
            try await socket.converse(Request.self, within: limits) { request in
                switch request {
                case .join(let room, let name):
                    let next = Seat(room: try room.checked("A room's name", 1...32), name: try name.checked("A name", 1...32))
                    leave(seat, socket)
                    seat = nil
                    try join(next, socket)
                    seat = next
                case .say(let text):
                    guard let seat else { throw Refusal("Join a room first.") }
                    say(try text.checked("A message", 1...500), seat, socket)
                case .typing:
                    guard let seat else { throw Refusal("Join a room first.") }
                    socket.publish(.json(Event.typing(user: socket.user, name: seat.name)), to: "chat/lines/\(seat.room)")
                }
            }
        }
    }

    /// Under the lock, so that what is said meanwhile is either history or comes after it. (Or both: lines have numbers.)
    private func join(_ seat: Seat, _ socket: WebSocket) throws {
        try rooms.withLock { rooms in
            if rooms.count >= 100 { rooms = rooms.filter { $0.key == seat.room || $0.value.here > 0 || $0.value.hasChanged } }
            guard rooms[seat.room] != nil || rooms.count < 100 else { throw Refusal("There are 100 rooms already.") }
            try socket.subscribe("chat/lines/\(seat.room)", whenSlow: .dropOldest, as: PresenceMember(id: socket.user, info: seat.name))
            try socket.subscribe("chat/here/\(seat.room)", whenSlow: .latest)
            rooms[seat.room, default: Room()].hasChanged = true
            socket.trySend(.json(Event.joined(room: seat.room, history: rooms[seat.room]?.lines ?? [])))
        }
    }

    private func leave(_ seat: Seat?, _ socket: WebSocket) {
        guard let seat else { return }
        socket.unsubscribe("chat/lines/\(seat.room)")
        socket.unsubscribe("chat/here/\(seat.room)")
        rooms.withLock { $0[seat.room]?.hasChanged = true }
    }

    /// Published under the lock: everyone hears everything in one order.
    private func say(_ text: String, _ seat: Seat, _ socket: WebSocket) {
        rooms.withLock { rooms in
            var room = rooms[seat.room] ?? Room()
            let line = Line(number: room.said, user: socket.user, name: seat.name, text: text)
            room.said += 1
            room.lines = room.lines.suffix(49) + [line]
            rooms[seat.room] = room
            socket.publish(.json(Event.said(line: line)), to: "chat/lines/\(seat.room)", includingSelf: true)
        }
    }

    /// Tells each room who is in it, twice a second at most: ten thousand who come at once would else be told ten thousand times each.
    func run(on server: WebSocketServer) async {
        while (try? await Task.sleep(for: .milliseconds(500))) != nil {
            for room in rooms.withLock({ rooms in rooms.filter(\.value.hasChanged).map(\.key) }) {
                rooms.withLock { $0[room]?.hasChanged = false }
                let members = server.members(of: "chat/lines/\(room)")
                rooms.withLock { $0[room]?.here = members.count }
                let names = members.map(\.info).sorted().prefix(40)
                server.publish(.json(Event.here(count: members.count, names: Array(names))), to: "chat/here/\(room)")
            }
        }
    }
}

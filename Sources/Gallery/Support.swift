// Support chat over Socket.IO: a queue, agents, hand-over; and who loses the line for up to two minutes misses nothing.

import EngineIO
import SocketIO
import WebSockets

final class Support: Exhibit {
    struct Auth: Decodable { var role: String, name: String }
    struct Person: Codable { var role: String, name: String }

    private static let events = ["ask", "say", "take", "hand over", "finish"]
    private let io: SocketIOServer
    private let desk = Desk()
    private let limits = RateLimits(perSecond: 5, burst: 15)

    init() {
        let engine = EngineIOConfiguration(path: "/support/socket.io/", maxPayload: 16_384)
        io = SocketIOServer(configuration: SocketIOConfiguration(engine: engine, recovery: SocketIORecovery()))
    }

    func mount(on server: WebSocketServer) {
        io.use { socket in
            let auth: Auth = try socket.handshake.auth()
            guard ["customer", "agent"].contains(auth.role) else { throw SocketIOError("A role is customer or agent.") }
            socket.setData(Person(role: auth.role, name: try Self.checked(auth.name, "A name", 1...24)))
        }
        io.onConnection { [self] socket in welcome(socket) }
        io.main.onSessionExpired { [self] session in tell(desk.leave(session.id)) }
        server.mount(io)
    }

    private func welcome(_ socket: SocketIOSocket) {
        guard let person = socket.data(as: Person.self) else { return }
        let id = socket.id, isAgent = person.role == "agent"
        // One who comes back is in the rooms of before, and has been sent what was said there.
        if isAgent, !socket.isRecovered {
            guard desk.arrive(id, person.name) else {
                socket.emit("refused", "\(Desk.maxAgents) agents are here already; try again later.")
                return socket.disconnect()
            }
            socket.join("agents")
            tell([])
        }
        // With the first event, a client has a place in the stream of events to come back to.
        socket.emit("welcome", id)
        socket.use { [limits] event in
            guard limits.allows(id, at: .now) else { throw SocketIOError("Too fast: 5 requests a second are taken.") }
            guard Self.events.contains(event.name) else { throw SocketIOError("There is no event of this name.") }
        }
        socket.on("ask") { [self] (text: String) -> Desk.Case in
            let opened = try desk.ask(id, person.name, try Self.checked(text, "A question", 1...500))
            socket.join(opened.room)
            tell([opened])
            return opened
        }
        socket.on("say") { [self] (number: Int, text: String, key: String) in
            guard let line = try desk.say(try Self.checked(text, "A message", 1...500), key, person, id, number) else { return }
            io.main.to(Desk.room(number)).emit("said", number, line)
        }
        socket.on("take") { [self] (number: Int) in try assign(number, to: id, by: id) }
        socket.on("hand over") { [self] (number: Int, other: String) in try assign(number, to: other.isEmpty ? nil : other, by: id) }
        socket.on("finish") { [self] (number: Int) in tell([try desk.finish(number, by: id)]) }
        socket.onError { [weak socket] error in socket?.emit("refused", "\(error)") }
        // For a moment the line may be lost, and the session goes on; who leaves says so.
        socket.onDisconnect { [self] reason in if reason == .clientNamespaceDisconnect { tell(desk.leave(id)) } }
    }

    private func assign(_ number: Int, to agent: String?, by id: String) throws {
        // A session without a line can not join a room.
        if let agent, io.main.socket(agent) == nil { throw SocketIOError("This agent is not there at the moment.") }
        let (former, now) = try desk.assign(number, to: agent, by: id)
        if let former { io.main.in(former).socketsLeave([now.room]) }
        if let agent { io.main.in(agent).socketsJoin([now.room]) }
        tell([now])
    }

    /// Has everyone at the desk know how things are, and those of a case what has become of it.
    private func tell(_ changed: [Desk.Case]) {
        for changed in changed {
            io.main.to(changed.room).emit("case", changed)
            if changed.isDone { io.main.in(changed.room).socketsLeave([changed.room]) }
        }
        io.main.to("agents").emit("desk", desk.overview)
        for (id, place) in desk.places { io.main.to(id).emit("place", place) }
    }

    private static func checked(_ text: String, _ what: String, _ lengths: ClosedRange<Int>) throws -> String {
        do { return try text.checked(what, lengths) } catch { throw SocketIOError(error.reason) }
    }
}

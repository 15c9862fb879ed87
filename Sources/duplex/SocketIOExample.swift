// What `duplex serve` answers on Socket.IO: enough to try a client with, and what the load generators ask for.

import SocketIO

/// The Socket.IO server of `duplex serve`, at /socket.io/.
enum SocketIOExample {
    /// Its main namespace answers `echo` (acknowledges with its arguments, and sends them back as `echo`), `join` and `leave` (a room; both
    /// acknowledged) and `say` (a room, then anything: to everyone in the room, as `say`).
    static func make(_ configuration: SocketIOConfiguration) -> SocketIOServer {
        let io = SocketIOServer(configuration: configuration)
        io.main.on("echo") { (socket: SocketIOSocket, event: SocketIOEvent) in
            let arguments = Array(event.arguments)
            event.acknowledge(with: arguments)
            socket.emit("echo", arguments: arguments)
        }
        io.main.on("join") { (socket: SocketIOSocket, room: String) in
            guard socket.join(room) else { throw SocketIOError("too many rooms") }
        }
        io.main.on("leave") { (socket: SocketIOSocket, room: String) in socket.leave(room) }
        io.main.on("say") { [main = io.main] (_: SocketIOSocket, event: SocketIOEvent) in
            let room = try event.decode(as: String.self)
            main.to(room).emit("say", arguments: Array(event.arguments.dropFirst()))
            event.acknowledge(with: [])
        }
        return io
    }
}

// What `duplex serve` answers on Socket.IO: enough to try a client with, and what the load generators ask for.

import SocketIO

/// The Socket.IO server of `duplex serve`, at /socket.io/.
enum SocketIOExample {
    /// Its main namespace answers `echo` (acknowledges with its arguments, and sends them back as `echo`), `add` (numbers; acknowledges with
    /// their sum), `join` and `leave` (a room; both acknowledged), `say` (a room, then anything: to everyone in the room, as `say`) and
    /// `chat message` (anything: to everyone, as `chat message`).
    static func make(_ configuration: SocketIOConfiguration) -> SocketIOServer {
        let io = SocketIOServer(configuration: configuration)
        io.main.on("echo") { (socket: SocketIOSocket, event: SocketIOEvent) in
            let arguments = Array(event.arguments)
            event.acknowledge(with: arguments)
            socket.emit("echo", arguments: arguments)
        }
        io.main.on("add") { (_: SocketIOSocket, event: SocketIOEvent) in event.acknowledge(with: [try sum(event.arguments)]) }
        io.main.on("chat message") { [main = io.main] (_: SocketIOSocket, event: SocketIOEvent) in
            main.emit("chat message", arguments: Array(event.arguments))
            event.acknowledge(with: [])
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

    /// The sum of numbers: whole as long as all of them are, and it fits.
    private static func sum(_ numbers: some Sequence<SocketIOValue>) throws(SocketIOError) -> SocketIOValue {
        var whole: Int? = 0
        var sum = 0.0
        for number in numbers {
            switch number {
            case .int(let value):
                sum += Double(value)
                whole = whole.flatMap { sum in
                    let (total, overflows) = sum.addingReportingOverflow(value)
                    return overflows ? nil : total
                }
            case .double(let value):
                sum += value
                whole = nil
            default: throw SocketIOError("add takes numbers")
            }
        }
        return whole.map { .int($0) } ?? .double(sum)
    }
}

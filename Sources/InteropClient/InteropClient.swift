// A Socket.IO client that does what its server asks for: `InteropClient http://127.0.0.1:8080`. See Interop/test_socketio_features.py.
//
// It has the events `echo`, which is answered with its arguments, and
//
//     call, timeout in seconds or null, event, arguments…     asks for an acknowledgement, and reports it as `answer` or `failure`
//     speak                                                   emits a volatile `note`
//
// Whenever it is not connected, before its first connect and after the server has disconnected it, it emits `note`, once volatile and once
// not, and connects.

import ArgumentParser
import EngineIO
import SocketIO

@main
struct InteropClient: ParsableCommand {
    @Argument var url: String
    @Option var transport: [String] = []
    @Flag var msgpack = false
    @Option var retries: Int?
    /// In seconds.
    @Option var ackTimeout: Double?

    func run() throws {
        let client = try SocketIOClient(url, configuration: configuration)
        let socket = client.socket()
        socket.on("echo") { (event: SocketIOEvent) in event.acknowledge(with: Array(event.arguments)) }
        socket.on("call") { (event: SocketIOEvent) in Self.call(socket, event.arguments) }
        socket.on("speak") { socket.volatile.emit("note", "volatile, connected") }
        socket.onConnect { print("connected over \(client.transport?.rawValue ?? "nothing")") }
        socket.onConnectError { print("not connected: \($0)") }
        socket.onDisconnect { reason in
            print("disconnected: \(reason)")
            // After the others, the client connects by itself.
            if reason == .ioServerDisconnect { Self.connect(socket) }
        }
        Self.connect(socket)
        // The end of its input is its own.
        while readLine() != nil {}
    }

    private var configuration: SocketIOClientConfiguration {
        var configuration = SocketIOClientConfiguration()
        if !transport.isEmpty { configuration.engine.transports = transport.compactMap(EngineIOTransport.init) }
        if msgpack { configuration.parser = SocketIOMessagePackParser() }
        configuration.retries = retries
        configuration.ackTimeout = ackTimeout.map { .seconds($0) }
        return configuration
    }

    private static func connect(_ socket: SocketIOClientSocket) {
        socket.volatile.emit("note", "volatile, not connected")
        socket.emit("note", "kept")
        socket.connect()
    }

    private static func call(_ socket: SocketIOClientSocket, _ arguments: ArraySlice<SocketIOValue>) {
        guard let timeout = arguments.first, let event = arguments.dropFirst().first?.string else { return }
        let seconds = timeout.double ?? timeout.int.map(Double.init)
        socket.emit(event, arguments: Array(arguments.dropFirst(2)), timeout: seconds.map { .seconds($0) }) { result in
            switch result {
            case .success(let values): socket.emit("answer", arguments: values)
            case .failure(let error): socket.emit("failure", "\(error)")
            }
        }
    }
}

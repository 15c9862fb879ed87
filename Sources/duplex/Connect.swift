// `duplex connect`: talk to a WebSocket server from a terminal, or in a pipe.

import ArgumentParser
import WebSocketCore
import WebSockets

struct Connect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Talk to a WebSocket server: a line typed is a message sent.",
        discussion: """
            Messages that arrive are printed to stdout, one a line; what else happens is told on stderr. In a pipe, payloads are printed \
            as they are. On a terminal, control characters are escaped and binary messages dumped.

            With --socketio, a line is an event: its name, then its arguments as JSON with commas between, such as: add 1, 2. A name with \
            spaces is a JSON string: "chat message" {"text": "hello"}. Every event asks for an acknowledgement, and those that come are \
            printed; on stderr is told of each that does not come within --ack-timeout, and of each line that is no event, which is not sent.

            Ctrl-D closes the connection. At the end of piped input, the connection is closed once the server has read all of it and fallen \
            silent, so that its answers are printed. Ctrl-C closes at once, and pressed again, quits.

            The exit status is 0 if the connection was closed cleanly, with 1000, 1001 or no code; 1 if it could not be opened or \
            ended otherwise; 64 for wrong arguments. With --socketio, it is 1, too, if a line of piped input was no event, an event was not \
            acknowledged, or the server disconnected the client before the input had ended. A lost connection is made anew; after a \
            disconnect by the server, the command ends.
            """)

    @Argument(help: "Where to connect to: ws://… or wss://…; with --socketio also http://… or https://…")
    var url: String

    @Flag(name: .customLong("socketio"), help: "Talk to a Socket.IO server: a line typed is an event sent.")
    var isSocketIO = false

    @Option(help: ArgumentHelp("With --socketio: the namespace.", valueName: "name"))
    var namespace: String?

    @Option(help: ArgumentHelp("With --socketio: what the server is told at each connect, an object.", valueName: "JSON"))
    var auth: String?

    @Option(
        name: .customLong("transport"),
        help: ArgumentHelp("With --socketio: polling or websocket; may be repeated, the first one first.", valueName: "name"))
    var transports: [SocketIOTransportArgument] = []

    @Option(help: ArgumentHelp("With --socketio: the path at which the server listens.", valueName: "path"))
    var path = "/socket.io/"

    @Option(
        help: ArgumentHelp(
            "With --socketio: how long to wait for each acknowledgement; 0 asks for none. (default: 5.0)", valueName: "seconds"))
    var ackTimeout: Double?

    @OptionGroup var client: ClientOptions

    @Flag(help: "Send lines as binary messages.")
    var binary = false

    @Option(help: ArgumentHelp("Ping this often, and tell the round-trip time.", valueName: "seconds"))
    var ping: Double?

    @Option(help: ArgumentHelp("After the end of piped input, close once the server has been silent for this long.", valueName: "seconds"))
    var wait = 0.5

    @Option(help: ArgumentHelp(CompressionArgument.help, valueName: "how")) var compression = CompressionArgument.shared

    @OptionGroup var logging: LogOptions

    func validate() throws {
        // A day is longer than anybody waits, and short enough for any clock.
        if let ping { guard ping > 0, ping <= 86_400 else { throw ValidationError("--ping needs seconds from above 0 to 86400") } }
        guard wait >= 0, wait <= 86_400 else { throw ValidationError("--wait needs seconds from 0 to 86400") }
        try validateSocketIO()
    }

    func run() async throws {
        logging.bootstrap()
        let console = Console()
        let interrupts = Interrupts(console)
        await interrupts.watch()
        if isSocketIO { return try await talkSocketIO(console, interrupts) }
        do {
            let closure = try await converse(console, interrupts)
            await console.note(Report.line(closure))
            throw ExitCode(Report.status(of: closure))
        } catch let status as ExitCode {
            throw status
        } catch {
            await console.fail(ErrorText.of(error))
            throw ExitCode(Report.status(of: error))
        }
    }

    private func converse(_ console: Console, _ interrupts: Interrupts) async throws -> Closure {
        let options = Conversation.Options(
            isBinary: binary, pingInterval: ping.map { .seconds($0) }, silence: .seconds(wait))
        if client.insecure { await console.note("the server's certificate is not checked (--insecure)") }
        return try await WebSocketClient.connect(url, configuration: configuration) { socket in
            interrupts.close(socket)
            await console.note(Report.line(opened: socket))
            return try await Conversation(socket: socket, console: console, options: options).run()
        }
    }

    private var configuration: WebSocketClient.Configuration {
        var configuration = client.configuration
        configuration.connection.compression = compression.compression
        // One connection, and one person who wants to see what it brings.
        configuration.connection.limits = Limits(maxMessageSize: LineSplitter.defaultLimit)
        return configuration
    }
}

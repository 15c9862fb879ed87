// `duplex members`: the simulated members of the gallery's chat. `duplex serve` starts it, and nobody else needs it.
//
// Each is a connection as a browser makes it. It ends with its standard input, which is the pipe to its parent, and after a time in any case.

import ArgumentParser
import NIOSSL
import Synchronization
import WebSocketDeflate
import WebSockets

struct Members: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Simulate members of the gallery's chat; `duplex serve` starts this.", shouldDisplay: false)

    @Argument(help: "Where the chat is: ws://…/chat") var url: String
    @Option(help: "How many members.") var count: Int
    @Option(help: "The room that they join.") var room = "lobby"
    @Option(help: "How long they stay.") var seconds = 180

    func validate() throws {
        guard (1...10_000).contains(count) else { throw ValidationError("--count must be 1 to 10000") }
        guard (1...600).contains(seconds) else { throw ValidationError("--seconds must be 1 to 600") }
    }

    func run() async throws {
        _ = raiseOpenFilesLimit()
        Task.detached {
            // Nothing is ever written to it.
            while let bytes = try? Descriptor.input.readSome(atMost: 64), !bytes.isEmpty {}
            leave(0)
        }
        let all = SimulatedMembers(url: url, room: room, count: count)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<100 { group.addTask { await all.openSome() } }
            group.addTask { await all.talk() }
            try await Task.sleep(for: .seconds(seconds))
            group.cancelAll()
        }
        leave(0)
    }
}

/// The connections of simulated members; one in twenty talks, once a second.
final class SimulatedMembers: Sendable {
    private let url: String
    private let room: String
    private let count: Int
    private let begun = Atomic<Int>(0)
    private let talkers = Mutex<[WebSocket]>([])
    private let configuration: WebSocketClient.Configuration

    init(url: String, room: String, count: Int) {
        self.url = url
        self.room = room
        self.count = count
        var configuration = WebSocketClient.Configuration()
        // The server pings; and its certificate, if it has one, may be for another name than this machine's.
        configuration.connection.keepalive = nil
        configuration.connection.compression = .off
        configuration.tls.certificateVerification = .none
        self.configuration = configuration
    }

    /// Opens connections, one after another, until all are begun; those that fail are left out.
    func openSome() async {
        while case let number = begun.add(1, ordering: .relaxed).oldValue, number < count, !Task.isCancelled {
            let member = SimulatedMember(room: room, name: Phrases.name(number))
            guard
                let socket = try? await WebSocketClient.connect(
                    "\(url)/member-\(number)", configuration: configuration, handler: { _ in member })
            else { continue }
            if number % 20 == 0 { talkers.withLock { $0.append(socket) } }
        }
    }

    /// Has the talkers talk in turn, each once a second, evenly spread over it.
    func talk() async {
        var turn = 0
        var due = ContinuousClock.now
        while !Task.isCancelled {
            due += .milliseconds(20)
            try? await Task.sleep(until: due)
            // A machine that is too slow does not have to make up for it.
            due = max(due, .now - .milliseconds(100))
            let talkers = talkers.withLock { $0 }
            guard !talkers.isEmpty else { continue }
            turn += talkers.count
            while turn >= 50 {
                turn -= 50
                talkers.randomElement()?.trySend(Phrases.message())
            }
        }
    }
}

/// A member who joins, and does not care for what the others say.
private struct SimulatedMember: WebSocketHandler {
    let room: String
    let name: String

    func opened(_ socket: WebSocket) { socket.trySend(.text("{\"join\":{\"room\":\"\(room)\",\"name\":\"\(name)\"}}")) }
    func received(_ message: Message, from socket: WebSocket) {}
}

/// What simulated members are called, and what they say.
enum Phrases {
    private static let names = [
        "Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Tony", "Frances", "Ken", "Margaret", "Vint",
    ]
    private static let words = [
        "hello", "is this thing on?", "packets, packets everywhere", "who else is here?", "full duplex!", "no polling was harmed",
        "that was quick", "I can hear all of you", "frame me", "ping", "pong", "what a crowd", "still open", "one socket is enough",
    ]

    static func name(_ number: Int) -> String { "\(names[number % names.count]) \(number)" }

    static func message() -> Message { .text("{\"say\":{\"text\":\"\(words.randomElement() ?? "hello")\"}}") }
}

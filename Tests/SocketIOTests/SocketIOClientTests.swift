// A client against this package's own server: SocketIOClient.swift, SocketIOClientSocket.swift and what belongs to them.

import EngineIO
import NIOConcurrencyHelpers
import NIOCore
import TestSupport
import Testing
import WebSocketCore
import WebSockets

@testable import SocketIO

/// How a client's packets travel.
enum Way: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case polling, webSocket, upgrade

    var transports: [EngineIOTransport] {
        switch self {
        case .polling: [.polling]
        case .webSocket: [.webSocket]
        case .upgrade: [.polling, .webSocket]
        }
    }

    var testDescription: String { rawValue }
}

extension SocketIOBench {
    /// A client of the server, which is closed after the body.
    func withClient<R>(
        _ way: Way = .webSocket, _ adjust: (inout SocketIOClientConfiguration) -> Void = { _ in }, path: String = "",
        _ body: (SocketIOClient) async throws -> R
    ) async throws -> R {
        try await SocketIOTests.withClient(port: port, way, adjust, path: path, body)
    }
}

func withClient<R>(
    port: Int, _ way: Way = .webSocket, _ adjust: (inout SocketIOClientConfiguration) -> Void = { _ in }, path: String = "",
    _ body: (SocketIOClient) async throws -> R
) async throws -> R {
    var configuration = SocketIOClientConfiguration()
    configuration.engine.transports = way.transports
    configuration.reconnection = SocketIOReconnection(delay: .milliseconds(5), maxDelay: .milliseconds(50))
    adjust(&configuration)
    let client = try SocketIOClient("http://127.0.0.1:\(port)\(path)", configuration: configuration)
    do {
        let result = try await body(client)
        await client.close()
        return result
    } catch {
        await client.close()
        throw error
    }
}

@Suite(.serialized, .timeLimit(.minutes(1))) struct SocketIOClientTests {
    private struct User: Codable, Equatable, Sendable {
        var name: String
        var age: Int?
    }

    private static func prepare(_ io: SocketIOServer, _ notes: Notes) {
        io.main.on("add") { (_: SocketIOSocket, a: Int, b: Int) in a + b }
        io.main.on("note") { (_: SocketIOSocket, text: String) in notes.add(text) }
        io.main.on("user") { (_: SocketIOSocket, user: User) in User(name: user.name + "!", age: user.age) }
        io.main.on("silence") { (_: SocketIOSocket, _: SocketIOEvent) in }
        io.main.on("back") { (socket: SocketIOSocket, event: SocketIOEvent) in socket.emit("back", arguments: Array(event.arguments)) }
        io.main.on("leave") { (socket: SocketIOSocket) in socket.disconnect() }
        io.main.onConnection { socket in socket.onDisconnect { notes.add("left: \($0)") } }
    }

    private func run(
        _ adjust: (inout SocketIOConfiguration) -> Void = { _ in }, _ body: (SocketIOBench) async throws -> Void
    ) async throws {
        try await withSocketIO(adjust, prepare: { Self.prepare($0, $1) }, body)
    }

    // MARK: Events

    @Test(arguments: Way.allCases) func eventsAndAcknowledgements(way: Way) async throws {
        try await run { bench in
            try await bench.withClient(way) { client in
                let socket = client.socket()
                socket.connect()
                try await socket.waitUntilConnected()
                #expect(socket.isConnected && socket.isActive && client.isOpen)
                #expect(try await socket.emitWithAck("add", 2, 3, as: Int.self) == 5)
                #expect(try await socket.emitWithAck("user", User(name: "Ada"), as: User.self) == User(name: "Ada!"))
                let bytes = ByteBuffer(bytes: [0, 1, 255])
                #expect(try await socket.emitWithAck("echo", bytes, "x") == [.binary(bytes), "x"])
                socket.emit("note", "plain")
                #expect(await bench.notes.wait(1) == ["plain"])
            }
            #expect(await bench.notes.wait(2)[1].hasPrefix("left: "))
        }
    }

    @Test func theTransportChanges() async throws {
        try await run { bench in
            try await bench.withClient(.upgrade) { client in
                let socket = client.socket()
                socket.connect()
                // In any order with the change, nothing is lost, doubled or overtaken.
                for number in 0..<300 { socket.emit("back", number) }
                var count = 0
                for try await event in socket.events("back") {
                    #expect(event.arguments == [.int(count)])
                    count += 1
                    if count == 300 { break }
                }
                while client.transport != .webSocket { _ = try await socket.emitWithAck("add", 1, 1) }
            }
        }
    }

    @Test func handlersOfEveryKind() async throws {
        try await withSocketIO(prepare: { io, _ in
            io.onConnection { socket in
                socket.on("ask") { () async throws -> [SocketIOValue] in
                    let answer = try await socket.emitWithAck("question", 20, 22)
                    socket.emit("plain", "a", 1)
                    let later = try await socket.emitWithAck("later", "x")
                    return answer + later
                }
            }
        }) { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                let notes = Notes()
                socket.on("question") { (a: Int, b: Int) in a + b }
                socket.on("later") { (text: String) async throws in text + text }
                socket.on("plain") { (text: String, number: Int?, missing: Int?) in notes.add("\(text) \(number ?? 0) \(missing ?? -1)") }
                socket.onAny { event in notes.add("any \(event.name)") }
                socket.once("plain") { _ in notes.add("once") }
                socket.onAnyOutgoing { event in notes.add("out \(event.name)") }
                socket.connect()
                try await socket.waitUntilConnected()
                #expect(try await socket.emitWithAck("ask", as: [SocketIOValue].self) == [42, "xx"])
                #expect(notes.lines == ["out ask", "any question", "any plain", "a 1 -1", "once", "any later"])
            }
        }
    }

    @Test func argumentsThatDoNotFitAreToldOf() async throws {
        try await run { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                let notes = Notes()
                socket.on("back") { (_: Int) in notes.add("called") }
                socket.onError { notes.add("\($0)") }
                socket.connect()
                socket.emit("back", "text")
                #expect(await notes.wait(1)[0].hasPrefix("argument 1"))
            }
        }
    }

    @Test func anAcknowledgementThatDoesNotComeTimesOut() async throws {
        try await run { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                socket.connect()
                await #expect(throws: SocketIOAckError(.timeout)) {
                    _ = try await socket.emitWithAck("silence", timeout: .milliseconds(30))
                }
                let task = Task { try await socket.emitWithAck("silence") }
                try await socket.waitUntilConnected()
                task.cancel()
                await #expect(throws: CancellationError.self) { _ = try await task.value }
                let other = Task { try await socket.emitWithAck("silence") }
                _ = try await socket.emitWithAck("add", 1, 1)
                socket.disconnect()
                await #expect(throws: SocketIOAckError(.disconnected)) { _ = try await other.value }
            }
        }
    }

    @Test func whoIsCancelledBeforeSendsNothing() async throws {
        try await run { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                socket.connect()
                try await socket.waitUntilConnected()
                let task = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    return try await socket.emitWithAck("note", "cancelled")
                }
                await #expect(throws: CancellationError.self) { _ = try await task.value }
                #expect(try await socket.emitWithAck("add", 1, 1) == [2])
                #expect(bench.notes.lines == [])
            }
        }
    }

    @Test func anEventIsNotKeptForTheNextConnectionIfThereIsOne() async throws {
        try await run { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                socket.connect()
                try await socket.waitUntilConnected()
                // Asked before there was a connection, or the one before it; there is one now.
                for session in [nil, try EngineIOClientSession("http://localhost", handler: Silent())] {
                    let answers = Notes()
                    var emission = ClientSocketMachine.Emission(
                        number: 0, values: ["add", 1, 2], answer: { answers.add("\((try? $0.get().first?.int) ?? -1)") })
                    socket.emit(&emission, asked: session, isAlive: false, isWritable: false)
                    #expect(await answers.wait(1) == ["3"])
                }
            }
        }
    }

    private final class Silent: EngineIOClientHandler {
        func opened(_ session: EngineIOClientSession) {}
        func received(_ message: Message, from session: EngineIOClientSession) {}
        func closed(_ session: EngineIOClientSession, _ closure: EngineIOClosure, _ error: EngineIOClientError?) {}
    }

    @Test func oneHandlerIsRemoved() async throws {
        try await withSocketIO(prepare: { io, notes in
            io.onConnection { socket in
                let id = socket.on("x") { notes.add("removed") }
                socket.on("x") { notes.add("kept") }
                socket.off(id: id)
                socket.emit("y")
            }
        }) { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                let ids = [
                    socket.on("y") { bench.notes.add("removed") }, socket.on("y") { (_: Int) async in bench.notes.add("removed") },
                    socket.once("y") { _ in bench.notes.add("removed") }, socket.onAny { _ in bench.notes.add("removed") },
                ]
                socket.on("y") {
                    bench.notes.add("client's")
                    socket.emit("x")
                }
                for id in ids { socket.off(id: id) }
                #expect(Set(ids).count == 4)
                socket.connect()
                #expect(await bench.notes.wait(2) == ["client's", "kept"])
            }
        }
    }

    @Test func whatAHandlerHeldMayCallItsSocket() async throws {
        final class Caller: Sendable {
            let socket: SocketIOClientSocket
            init(_ socket: SocketIOClientSocket) { self.socket = socket }
            deinit { socket.off("other") }
        }
        let socket = try SocketIOClient("http://localhost").socket()
        func add() -> SocketIOHandlerID {
            let caller = Caller(socket)
            return socket.on("x") { withExtendedLifetime(caller) {} }
        }
        _ = add()
        socket.off("x")
        socket.off(id: add())
    }

    @Test func aReservedNameIsNotSent() async throws {
        try await run { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                let notes = Notes()
                socket.onError { notes.add("\($0)") }
                socket.emit("connect", 1)
                #expect(await notes.wait(1)[0].contains("reserved"))
                await #expect(throws: SocketIOAckError(.notSent)) { _ = try await socket.emitWithAck("disconnect") }
            }
        }
    }

    // MARK: Namespaces and who is let in

    @Test func oneConnectionServesManyNamespaces() async throws {
        try await withSocketIO(prepare: { io, _ in
            for name in ["/a", "/b"] { io.of(name).on("who") { (socket: SocketIOSocket) in socket.namespace.name } }
        }) { bench in
            try await bench.withClient(path: "/b") { client in
                let (first, second) = (client.socket("/a"), client.socket())
                #expect(first === client.socket("a") && second.namespace == "/b")
                first.connect()
                second.connect()
                try await second.waitUntilConnected()
                #expect(try await first.emitWithAck("who", as: String.self) == "/a")
                #expect(try await second.emitWithAck("who", as: String.self) == "/b")
                #expect(bench.io.engine.sessionCount == 1)
                first.disconnect()
                #expect(first.connectionState == .disconnected(.ioClientDisconnect))
                #expect(try await second.emitWithAck("who", as: String.self) == "/b")
                second.disconnect()
                #expect(!client.isOpen)
            }
        }
    }

    @Test func aRefusalIsATypedError() async throws {
        try await withSocketIO(prepare: { io, _ in
            io.use { socket in
                guard try socket.handshake.auth(as: [String: String].self)["token"] == "good" else {
                    throw SocketIOError("not allowed", data: ["code": 7])
                }
            }
        }) { bench in
            let tokens = NIOLockedValueBox(["bad", "good"])
            try await bench.withClient {
                $0.auth = .closure { ["token": .string(tokens.withLockedValue { $0.removeFirst() })] }
            } _: { client in
                let socket = client.socket()
                socket.connect()
                let error = await #expect(throws: SocketIOConnectError.self) { try await socket.waitUntilConnected() }
                #expect(error?.reason == .refused && error?.message == "not allowed" && error?.data == ["code": 7])
                #expect(!socket.isActive && !client.isOpen)
                socket.connect()
                try await socket.waitUntilConnected()
                let unknown = client.socket("/unknown", auth: SocketIOAuth.none)
                unknown.connect()
                let other = await #expect(throws: SocketIOConnectError.self) { try await unknown.waitUntilConnected() }
                #expect(other?.message == "Invalid namespace")
                #expect(socket.isConnected)
            }
        }
    }

    @Test func anAuthThatFailsIsAskedAgain() async throws {
        struct NoToken: Error {}
        try await run { bench in
            let count = NIOLockedValueBox(0)
            try await bench.withClient {
                $0.auth = .closure {
                    let number = count.withLockedValue { count in
                        count += 1
                        return count
                    }
                    if number < 3 { throw NoToken() }
                    return ["number": .int(number)]
                }
            } _: { client in
                let socket = client.socket()
                let notes = Notes()
                socket.onConnectError { notes.add($0.reason.rawValue) }
                socket.connect()
                try await socket.waitUntilConnected()
                #expect(await notes.wait(2) == ["auth", "auth"])
                let id = try #require(socket.id)
                let auth: SocketIOValue? = bench.io.main.socket(id)?.auth
                #expect(auth == ["number": 3])
            }
        }
    }

    @Test func nobodyIsAskedForCredentialsAnyMore() async throws {
        try await run { bench in
            let notes = Notes()
            try await bench.withClient {
                $0.auth = .closure {
                    notes.add("asked")
                    do {
                        try await Task.sleep(for: .seconds(1000))
                    } catch {
                        notes.add("cancelled")
                    }
                    return [:]
                }
            } _: { client in
                client.socket().connect()
                #expect(await notes.wait(1) == ["asked"])
            }
            #expect(await notes.wait(2) == ["asked", "cancelled"])
        }
    }

    // MARK: Disconnecting

    @Test func whoeverClosesWaitsForTheEnd() async throws {
        try await run { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                socket.connect()
                try await socket.waitUntilConnected()
                let session = try #require(client.connection)
                let other = Task { await client.close() }
                while client.isOpen { await Task.yield() }
                await client.close()
                #expect(session.isDone)
                await other.value
            }
        }
    }

    // MARK: A device that sleeps

    private enum Waking: CaseIterable, Sendable { case byItself, emitting, asked }

    @Test(arguments: Waking.allCases, [Way.polling, .webSocket]) private func aDeviceThatHasSlept(waking: Waking, way: Way) async throws {
        try await run { bench in
            let slept = NIOLockedValueBox(Duration.zero)
            try await bench.withClient(way) {
                $0.engine.now = { EngineIOClientSession.now.advanced(by: slept.withLockedValue { $0 }) }
            } _: { client in
                let socket = client.socket()
                let notes = Notes()
                socket.onConnect { notes.add("connect") }
                socket.onDisconnect { notes.add("\($0)") }
                socket.connect()
                await notes.wait(1)
                slept.withLockedValue { $0 = .seconds(3600) }
                switch waking {
                case .byItself: break
                case .asked: client.checkConnection()
                // What is said is said on the new connection.
                case .emitting:
                    let sum = try await socket.emitWithAck("add", 1, 2)
                    #expect(sum == [3])
                }
                #expect(await notes.wait(3) == ["connect", "ping timeout", "connect"])
            }
        }
    }

    // MARK: Disconnecting

    @Test func theServerDisconnects() async throws {
        try await run { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                let notes = Notes()
                socket.onConnect { notes.add("connect") }
                socket.onDisconnect { notes.add("\($0)") }
                socket.connect()
                socket.emit("leave")
                #expect(await notes.wait(2) == ["connect", "io server disconnect"])
                #expect(!socket.isActive)
                socket.connect()
                try await socket.waitUntilConnected()
                socket.disconnect()
                #expect(await notes.wait(4) == ["connect", "io server disconnect", "connect", "io client disconnect"])
            }
        }
    }

    @Test func statesAndEventsAreSequences() async throws {
        try await run { bench in
            try await bench.withClient { client in
                let socket = client.socket()
                let states = socket.connectionStates
                let events = client.events
                socket.connect()
                try await socket.waitUntilConnected()
                let id = try #require(socket.id)
                await client.close()
                var seen: [SocketIOConnectionState] = []
                for await state in states { seen.append(state) }
                #expect(
                    seen == [
                        .disconnected(nil), .connecting, .connected(id: id, isRecovered: false), .disconnected(.ioClientDisconnect),
                    ])
                var names: [String] = []
                for await event in events { names.append(event.name) }
                #expect(names == ["open", "close"])
            }
        }
    }

    // MARK: Without a connection

    @Test func whatIsEmittedBeforeIsKept() async throws {
        try await run { bench in
            try await bench.withClient {
                $0.sendBuffer = SocketIOSendBuffer(maxCount: 3)
            } _: { client in
                let socket = client.socket()
                for text in ["a", "b", "c", "d"] { socket.emit("note", text) }
                socket.volatile.emit("note", "volatile")
                socket.connect()
                #expect(await bench.notes.wait(3) == ["a", "b", "c"])
                _ = try await socket.emitWithAck("add", 1, 1)
                #expect(bench.notes.lines == ["a", "b", "c"])
            }
        }
    }

    @Test(arguments: [Way.polling, .webSocket]) func aFullBufferLeavesAtOnce(way: Way) async throws {
        let size = NIOLockedValueBox(0)
        try await withSocketIO(prepare: { io, _ in
            io.main.on("bytes") { (_: SocketIOSocket, bytes: ByteBuffer) in size.withLockedValue { $0 += bytes.readableBytes } }
        }) { bench in
            try await bench.withClient(way) { client in
                let socket = client.socket()
                // As much as is kept, which Base64 makes a third more.
                let bytes = ByteBuffer(repeating: 1, count: 60_000)
                for _ in 0..<69 { socket.emit("bytes", bytes) }
                let notes = Notes()
                socket.onDisconnect { notes.add("\($0)") }
                socket.connect()
                let answer = try await socket.emitWithAck("echo", 1)
                #expect(answer == [1])
                #expect(size.withLockedValue { $0 } == 69 * 60_000)
                #expect(notes.lines == [])
            }
        }
    }

    @Test func anotherParser() async throws {
        try await run {
            $0.parser = SocketIOMessagePackParser()
        } _: { bench in
            try await bench.withClient(.upgrade) {
                $0.parser = SocketIOMessagePackParser()
            } _: { client in
                let socket = client.socket()
                socket.connect()
                try await socket.waitUntilConnected()
                #expect(try await socket.emitWithAck("echo", ByteBuffer(bytes: [1, 2])) == [.binary(ByteBuffer(bytes: [1, 2]))])
            }
        }
    }

    @Test func aServerThatIsNotThere() async throws {
        let notes = Notes()
        try await withClient(port: 1) {
            $0.reconnection?.maxAttempts = 2
        } _: { client in
            let socket = client.socket()
            client.onEvent { notes.add($0.name) }
            socket.connect()
            let error = await #expect(throws: SocketIOConnectError.self) { try await socket.waitUntilConnected() }
            #expect(error?.reason == .connection)
            #expect(
                await notes.wait(8) == [
                    "error", "reconnect_attempt", "error", "reconnect_error", "reconnect_attempt", "error", "reconnect_error",
                    "reconnect_failed",
                ])
        }
    }
}

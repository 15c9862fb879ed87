// `duplex connect --socketio`: events go out as they are typed, events and acknowledgements come in.

import EngineIO
import NIOCore
import SocketIO
import Synchronization
import WebSockets

/// One socket of `duplex connect --socketio`, from its connect to its end.
struct SocketIOConversation: Sendable {
    let client: SocketIOClient
    let socket: SocketIOClientSocket
    let console: Console
    /// How long the server must have been silent after the end of piped input.
    let silence: Duration
    private let input = LineReader()
    private let activity = Activity()
    /// What is printed of acknowledgements, in their order.
    private let answers = AsyncStream<String>.makeStream()

    init(_ client: SocketIOClient, _ socket: SocketIOClientSocket, _ console: Console, silence: Duration) {
        self.client = client
        self.socket = socket
        self.console = console
        self.silence = silence
    }

    /// Talks until the input ends, the server disconnects, or the socket can not connect.
    ///
    /// - Returns: whether it ended well.
    func run() async throws -> Bool {
        let events = socket.allEvents
        let states = socket.connectionStates
        let printing = Task { await printEvents(events) }
        let answering = Task { await printAnswers() }
        socket.onConnectError { error in notConnected(error) }
        socket.connect()
        let connecting = Task { await connectFirst() }
        let typing = Task { await sendInput() }
        let isGood = await follow(states)
        typing.cancel()
        await client.close()
        answers.continuation.finish()
        await printing.value
        await answering.value
        await connecting.value
        await console.removePrompt()
        if let failure = activity.failure { throw failure }
        return isGood
    }

    private func connectFirst() async {
        do {
            try await socket.waitUntilConnected()
            activity.begin()
        } catch {
            if (error as? SocketIOConnectError)?.reason != .disconnected { activity.fail(error) }
        }
    }

    /// What is not there at first is a mistake as a rule; what is lost later comes back.
    private func notConnected(_ error: SocketIOConnectError) {
        if activity.hasBegun {
            Task { await console.note("not connected: \(error)") }
        } else if error.reason == .connection {
            activity.fail(error)
            socket.disconnect()
        }
    }

    /// Tells of each state until the last one.
    private func follow(_ states: AsyncStream<SocketIOConnectionState>) async -> Bool {
        for await state in states.dropFirst() {
            await console.note("\(state)\(transport(state))")
            guard case .disconnected(let reason) = state else { continue }
            return reason == .ioClientDisconnect || reason == .ioServerDisconnect
        }
        return true
    }

    private func transport(_ state: SocketIOConnectionState) -> String {
        guard case .connected = state, let transport = client.transport else { return "" }
        return " over \(transport.rawValue)"
    }

    // MARK: In

    private func printEvents(_ events: AsyncThrowingStream<SocketIOEvent, any Error>) async {
        do {
            for try await event in events { try await show(SocketIOLine(event: event.name, arguments: Array(event.arguments)).text) }
        } catch {
            fail(error)
        }
    }

    private func printAnswers() async {
        do {
            for await answer in answers.stream { try await show(answer) }
        } catch {
            fail(error)
        }
    }

    private func show(_ text: String) async throws {
        activity.note()
        try await console.show(.text(text))
    }

    private func fail(_ error: any Error) {
        // Nobody reads: as with any other command in a pipe that is no fault, but there is nothing left to do.
        if (error as? SystemError)?.isBrokenPipe != true { activity.fail(error) }
        socket.disconnect()
    }

    // MARK: Out

    private func sendInput() async {
        do {
            try await sendLines()
            if !console.isInteractive { await awaitAnswers() }
        } catch {
            fail(error)
        }
        await console.removePrompt()
        socket.disconnect()
    }

    private func sendLines() async throws {
        await console.prompt()
        while let lines = try await input.next() {
            await console.lineEntered()
            for line in lines where line.readableBytes > 0 { try await send(String(buffer: line)) }
            if console.isInteractive, await !input.hasMore() { await console.prompt() }
        }
    }

    private func send(_ text: String) async throws {
        do throws(NotAnEvent) {
            ask(try SocketIOLine(text))
        } catch {
            guard console.isInteractive else { throw error }
            await console.note("not sent: \(error)")
        }
    }

    /// Emits an event, and prints its acknowledgement, if there is one: many events have none.
    private func ask(_ line: SocketIOLine) {
        activity.note()
        socket.emit(line.event, arguments: line.arguments) { result in
            guard case .success(let answer) = result else { return }
            answers.continuation.yield("ack \(line.event): \(SocketIOLine.text(answer))")
        }
    }

    /// Waits until the socket is connected, and then until the server has said nothing for a while.
    private func awaitAnswers() async {
        guard (try? await socket.waitUntilConnected()) != nil else { return }
        activity.note()
        while socket.isActive, let rest = activity.rest(of: silence) { try? await Task.sleep(for: rest) }
    }
}

/// What the tasks of a conversation tell each other.
private final class Activity: Sendable {
    private struct State {
        var hasBegun = false
        var last = ContinuousClock.now
        var failure: (any Error)?
    }

    private let state = Mutex(State())

    var hasBegun: Bool { state.withLock { $0.hasBegun } }
    func begin() { state.withLock { $0.hasBegun = true } }

    /// Something was said.
    func note() { state.withLock { $0.last = .now } }

    /// How long nothing may be said until there has been silence for so long; nil if there has.
    func rest(of silence: Duration) -> Duration? {
        let rest = silence - state.withLock { $0.last }.duration(to: .now)
        return rest > .zero ? rest : nil
    }

    /// What went wrong at this end, if anything.
    var failure: (any Error)? { state.withLock { $0.failure } }
    func fail(_ error: any Error) { state.withLock { $0.failure = $0.failure ?? error } }
}

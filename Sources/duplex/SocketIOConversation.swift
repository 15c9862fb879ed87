// `duplex connect --socketio`: events go out as they are typed, events and acknowledgements come in.
//
// Every event ends in one of three ways: it is acknowledged, its acknowledgement is late, or the connection ends first. The first is printed,
// the others are reported on stderr. In a pipe, they decide the exit status, too: what is not acknowledged may not have arrived.

import EngineIO
import NIOCore
import SocketIO
import Synchronization
import WebSockets

/// One socket of `duplex connect --socketio`, from its connect to its end.
struct SocketIOConversation: Sendable {
    struct Options: Sendable {
        /// How long the server must have been silent after the end of piped input.
        var silence: Duration
        /// How long to wait for each acknowledgement; nil to ask for none.
        var ackTimeout: Duration?
    }

    /// What became of an event that asked for an acknowledgement.
    private struct Outcome: Sendable {
        let line: Int
        let event: String
        /// What it counts for in `Progress`.
        let size: Int
        let result: Result<[SocketIOValue], SocketIOAckError>
    }

    let client: SocketIOClient
    let socket: SocketIOClientSocket
    let console: Console
    let options: Options
    private let input = LineReader()
    private let progress = Progress()
    /// Acknowledgements, in the order in which they came.
    private let outcomes = AsyncStream<Outcome>.makeStream()

    init(_ client: SocketIOClient, _ socket: SocketIOClientSocket, _ console: Console, options: Options) {
        self.client = client
        self.socket = socket
        self.console = console
        self.options = options
    }

    /// Talks until the input ends, the server disconnects, or the socket can not connect.
    ///
    /// - Returns: whether it ended well.
    func run() async throws -> Bool {
        let events = socket.allEvents
        let states = socket.connectionStates
        let printing = Task { await printEvents(events) }
        let answering = Task { await printOutcomes() }
        socket.onConnectError { error in notConnected(error) }
        socket.connect()
        let connecting = Task { await connectFirst() }
        let typing = Task { await sendInput() }
        let isGood = await follow(states)
        typing.cancel()
        await client.close()
        outcomes.continuation.finish()
        await printing.value
        await answering.value
        await connecting.value
        await console.removePrompt()
        await reportTheRest()
        if let failure = progress.failure { throw failure }
        return isGood && (console.isInteractive || !progress.hasFaults)
    }

    private func connectFirst() async {
        do {
            try await socket.waitUntilConnected()
            progress.begin()
        } catch {
            if (error as? SocketIOConnectError)?.reason != .disconnected { progress.fail(error) }
        }
    }

    /// Ends the conversation if there was no connection at first, which is a mistake as a rule; a later one is tried again.
    private func notConnected(_ error: SocketIOConnectError) {
        if progress.hasBegun {
            Task { await console.note("not connected: \(ErrorText.of(error))") }
        } else if error.reason == .connection {
            progress.fail(error)
            socket.disconnect()
        }
    }

    /// Reports each state until the last one.
    private func follow(_ states: AsyncStream<SocketIOConnectionState>) async -> Bool {
        var wasConnected = false
        for await state in states.dropFirst() {
            let isLost = wasConnected && state == .connecting
            await console.note("\(isLost ? "connection lost, " : "")\(state)\(transport(state))")
            if case .connected = state { wasConnected = true }
            guard case .disconnected(let reason) = state else { continue }
            guard reason == .ioServerDisconnect else { return reason == .ioClientDisconnect }
            await console.removePrompt()
            await console.note("the server disconnected this client, which does not connect again by itself")
            return console.isInteractive || progress.hasInputEnded
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

    private func printOutcomes() async {
        for await outcome in outcomes.stream {
            switch outcome.result {
            case .success(let answer):
                do { try await show("ack \(outcome.event): \(SocketIOLine.text(answer))") } catch { fail(error) }
            case .failure(let error): await report(outcome, error)
            }
            // Only now, so that no more is asked than is printed.
            progress.settled(outcome.size)
        }
    }

    private func show(_ text: String) async throws {
        progress.note()
        try await console.show(.text(text))
    }

    private func fail(_ error: any Error) {
        // Nobody reads: as with any other command in a pipe that is no fault, but there is nothing left to do.
        if (error as? SystemError)?.isBrokenPipe == true { progress.ignoreFaults() } else { progress.fail(error) }
        socket.disconnect()
    }

    // MARK: What went wrong

    private func report(_ outcome: Outcome, _ error: SocketIOAckError) async {
        let event = SocketIOValue.string(outcome.event).json
        switch error.reason {
        case .timeout:
            let time = ErrorText.seconds(options.ackTimeout ?? .zero)
            await report("no acknowledgement of \(event) came within \(time) (--ack-timeout)", line: outcome.line)
        case .disconnected: await report("\(event) was not acknowledged: the connection ended first", line: outcome.line)
        default: await report("\(event) was not acknowledged: \(error)", line: outcome.line)
        }
    }

    private func report(_ text: String, line: Int) async {
        guard progress.fault() else { return }
        if console.isInteractive { await console.note(text) } else { await console.fail("line \(line): \(text)") }
    }

    private func reportTheRest() async {
        let count = progress.unreportedFaults
        if count > 0 { await console.fail("\(count) more of the events were not sent or not acknowledged") }
    }

    // MARK: Out

    private func sendInput() async {
        // What waits for the first connection is not late yet, and a file may hold more than can be kept.
        if !console.isInteractive { guard (try? await socket.waitUntilConnected()) != nil else { return } }
        do { try await sendLines() } catch { progress.fail(error) }
        progress.endInput()
        if !console.isInteractive { await awaitAnswers() }
        await console.removePrompt()
        socket.disconnect()
    }

    private func sendLines() async throws {
        await console.prompt()
        var number = 0
        while let lines = try await input.next() {
            await console.lineEntered()
            for line in lines {
                number += 1
                if line.readableBytes > 0 { await send(line, number) }
            }
            if console.isInteractive, await !input.hasMore() { await console.prompt() }
        }
    }

    private func send(_ line: ByteBuffer, _ number: Int) async {
        do throws(NotAnEvent) {
            await emit(try SocketIOLine(utf8: line), number, size: line.readableBytes)
        } catch {
            await report("not sent: \(error)", line: number)
        }
    }

    /// Emits an event, and has its acknowledgement printed.
    private func emit(_ line: SocketIOLine, _ number: Int, size: Int) async {
        progress.note()
        guard let timeout = options.ackTimeout else {
            await waitUntilWritable()
            return socket.emit(line.event, arguments: line.arguments)
        }
        await progress.waitForRoom(size)
        socket.emit(line.event, arguments: line.arguments, timeout: timeout) { result in
            outcomes.continuation.yield(Outcome(line: number, event: line.event, size: size, result: result))
        }
    }

    /// Waits while the network does not take what was sent before: no acknowledgement tells how far the server is.
    private func waitUntilWritable() async {
        while let connection = client.connection, !connection.isWritable, !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Waits for all acknowledgements, each of which has its limit, and then until the server has said nothing for a while.
    private func awaitAnswers() async {
        await progress.waitUntilSettled()
        if options.ackTimeout == nil, !socket.isConnected {
            await console.fail("the connection was lost, and what was read since has not been sent")
            _ = progress.fault()
        }
        progress.note()
        while socket.isActive, let rest = progress.rest(of: options.silence) { try? await Task.sleep(for: rest) }
    }
}

/// What the tasks of a conversation share.
private final class Progress: Sendable {
    private struct State {
        var hasBegun = false
        var hasInputEnded = false
        var last = ContinuousClock.now
        var failure: (any Error)?
        var faults = 0
        var ignoresFaults = false
        /// The events that ask for an acknowledgement and have not got it, and their bytes.
        var pending = 0
        var pendingBytes = 0
        /// The task that waits for there to be fewer; only the one that sends does.
        var waiter: (limit: Limit, continuation: CheckedContinuation<Void, Never>)?
    }

    /// How many events and bytes may be pending for a wait to end.
    private struct Limit {
        var count: Int
        var bytes: Int
    }

    /// The most events that wait for an acknowledgement at a time, and their bytes: a file is read no faster than the server takes it.
    private static let window = Limit(count: 999, bytes: 1 << 22)
    /// The most faults that are reported one by one.
    private static let reportedFaults = 20

    private let state = Mutex(State())

    var hasBegun: Bool { state.withLock { $0.hasBegun } }
    func begin() { state.withLock { $0.hasBegun = true } }

    var hasInputEnded: Bool { state.withLock { $0.hasInputEnded } }
    func endInput() { state.withLock { $0.hasInputEnded = true } }

    // MARK: Silence

    /// Notes that something was said.
    func note() { state.withLock { $0.last = .now } }

    /// How long nothing may be said until there has been silence for so long; nil if there has.
    func rest(of silence: Duration) -> Duration? {
        let rest = silence - state.withLock { $0.last }.duration(to: .now)
        return rest > .zero ? rest : nil
    }

    // MARK: Faults

    /// The first error at this end.
    var failure: (any Error)? { state.withLock { $0.failure } }
    func fail(_ error: any Error) { state.withLock { $0.failure = $0.failure ?? error } }

    /// Counts an event that was not sent or not acknowledged.
    ///
    /// - Returns: whether it is to be reported.
    func fault() -> Bool {
        state.withLock { state in
            state.faults += 1
            return !state.ignoresFaults && state.faults <= Self.reportedFaults
        }
    }

    var hasFaults: Bool { state.withLock { $0.faults > 0 && !$0.ignoresFaults } }
    var unreportedFaults: Int { state.withLock { $0.ignoresFaults ? 0 : max(0, $0.faults - Self.reportedFaults) } }
    func ignoreFaults() { state.withLock { $0.ignoresFaults = true } }

    // MARK: Acknowledgements

    /// Waits until another event may ask for an acknowledgement, and counts it.
    func waitForRoom(_ size: Int) async {
        await wait(Self.window)
        state.withLock { state in
            state.pending += 1
            state.pendingBytes += size
        }
    }

    /// Waits until every event has got its acknowledgement, or will not get it any more.
    func waitUntilSettled() async { await wait(Limit(count: 0, bytes: 0)) }

    private func wait(_ limit: Limit) async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if Self.isWithin(limit, state) { return true }
                state.waiter = (limit, continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    func settled(_ size: Int) {
        let continuation = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.pending -= 1
            state.pendingBytes -= size
            guard let waiter = state.waiter, Self.isWithin(waiter.limit, state) else { return nil }
            state.waiter = nil
            return waiter.continuation
        }
        continuation?.resume()
    }

    private static func isWithin(_ limit: Limit, _ state: State) -> Bool {
        state.pending <= limit.count && state.pendingBytes <= limit.bytes
    }
}

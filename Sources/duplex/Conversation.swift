// One connection of `duplex connect`, from its opening to its end: lines go out, messages come in.

import NIOCore
import Synchronization
import WebSocketCore
import WebSockets

/// One connection of `duplex connect`.
struct Conversation: Sendable {
    struct Options: Sendable {
        var isBinary: Bool
        /// Between pings; nil for none.
        var pingInterval: Duration?
        /// How long the server must have been silent after the end of piped input.
        var silence: Duration
    }

    let socket: WebSocket
    let console: Console
    let options: Options
    private let input = LineReader()
    private let progress: Progress

    init(socket: WebSocket, console: Console, options: Options) {
        self.socket = socket
        self.console = console
        self.options = options
        progress = Progress(Farewell(silence: options.silence, at: .now))
    }

    /// Talks until the connection has ended.
    ///
    /// - Returns: how it ended.
    /// - Throws: what went wrong at this end: the input can not be read or sent, or the output not be written.
    func run() async throws -> Closure {
        // Not child tasks: these would have to end first, and reading stdin can not be cancelled.
        let typing = Task { await sendInput() }
        let pinging = options.pingInterval.map { interval in Task { await ping(every: interval) } }
        await printMessages()
        let closure = await socket.waitUntilClosed()
        typing.cancel()
        pinging?.cancel()
        await console.removePrompt()
        if let failure = progress.failure { throw failure }
        return closure
    }

    // MARK: In

    private func printMessages() async {
        do {
            for try await message in socket {
                progress.update { $0.received(isPrinting: true, at: .now) }
                try await console.show(message)
                progress.update { $0.received(isPrinting: false, at: .now) }
            }
        } catch let error as SystemError {
            // Nobody reads: as with any other command in a pipe that is no fault, but there is nothing left to do.
            if !error.isBrokenPipe { progress.fail(error) }
            progress.update { $0.received(isPrinting: false, at: .now) }
            socket.close()
        } catch {
            // The connection has ended; its closure says how.
        }
    }

    // MARK: Out

    private func sendInput() async {
        do {
            try await sendLines()
            if !console.isInteractive { await awaitAnswers() }
        } catch let error as UsageError where error.rule == .sendAfterClose {
            // The connection ends already.
            return
        } catch {
            progress.fail(error)
        }
        await console.removePrompt()
        socket.close()
    }

    private func sendLines() async throws {
        await console.prompt()
        var number = 0
        while let lines = try await input.next() {
            await console.lineEntered()
            for line in lines {
                number += 1
                try await send(line, number)
            }
            // Lines that were pasted are on the screen already: a prompt for each would stand behind them, in a row.
            if console.isInteractive, await !input.hasMore() { await console.prompt() }
        }
    }

    private func send(_ line: ByteBuffer, _ number: Int) async throws {
        guard !options.isBinary else { return try await socket.send(.binary(line)) }
        guard let message = try? Message.text(utf8: line) else {
            guard console.isInteractive else { throw NotText(line: number) }
            return await console.note("not sent: \(NotText(line: number))")
        }
        try await socket.send(message)
    }

    /// Waits until what was sent is answered, as far as that can be known; see `Farewell`.
    private func awaitAnswers() async {
        let unsentBytes = socket.bufferedAmount
        progress.update { $0.begin(at: .now, unsentBytes: unsentBytes) }
        let ping = Task {
            guard (try? await socket.ping()) != nil else { return }
            progress.update { $0.pong(at: .now) }
        }
        while socket.readyState == .open, case .wait(let moment) = progress.step(unsentBytes: socket.bufferedAmount) {
            try? await Task.sleep(until: moment)
        }
        ping.cancel()
    }

    // MARK: Pings

    private func ping(every interval: Duration) async {
        var next = ContinuousClock.now
        while let roundTrip = try? await socket.ping() {
            await console.note("pong after \(roundTrip.inMilliseconds)")
            next = max(next + interval, .now)
            guard (try? await Task.sleep(until: next)) != nil else { return }
        }
    }
}

/// A line of the input can not be a text message.
struct NotText: Error, Equatable, CustomStringConvertible {
    let line: Int
    var description: String { "line \(line) of the input is not UTF-8, as a text message has to be; --binary sends any bytes" }
}

/// What the tasks of a conversation tell each other.
private final class Progress: Sendable {
    private let farewell: Mutex<Farewell>
    private let firstFailure = Mutex<(any Error)?>(nil)

    init(_ farewell: Farewell) { self.farewell = Mutex(farewell) }

    func update(_ change: (inout Farewell) -> Void) { farewell.withLock { change(&$0) } }

    func step(unsentBytes: Int) -> Farewell.Step { farewell.withLock { $0.step(at: .now, unsentBytes: unsentBytes) } }

    /// What went wrong at this end, if anything.
    var failure: (any Error)? { firstFailure.withLock { $0 } }

    func fail(_ error: any Error) { firstFailure.withLock { $0 = $0 ?? error } }
}

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
            await console.prompt()
            while let lines = try await input.next() {
                await console.lineEntered()
                for line in lines { try await send(line) }
                // Lines that were pasted are on the screen already: a prompt for each would stand behind them, in a row.
                if console.isInteractive, await !input.hasMore() { await console.prompt() }
            }
            if !console.isInteractive { await awaitAnswers() }
        } catch UsageError(.sendAfterClose) {
            return
        } catch {
            progress.fail(error)
        }
        await console.removePrompt()
        socket.close()
    }

    private func send(_ line: ByteBuffer) async throws {
        do throws(UsageError) {
            let message: Message = options.isBinary ? .binary(line) : try .text(utf8: line)
            try await socket.send(message)
        }
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

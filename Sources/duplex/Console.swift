// Where everything is written: messages to stdout, what happens to stderr.

import Dispatch
import NIOCore
import WebSockets

/// Runs an actor on a thread of its own, where it may block.
final class QueueExecutor: SerialExecutor {
    private let queue: DispatchQueue

    init(_ label: String) { queue = DispatchQueue(label: label) }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}

/// The terminal, or the files and pipes that stand in for it.
///
/// A pipe whose reader is slow blocks this actor, never the connection: messages wait unread, and so the peer has to.
actor Console {
    /// Whether there is a prompt: input and output are one terminal.
    nonisolated let isInteractive: Bool
    private let output: Style
    private let status: Style
    private var screen: Screen
    private let executor = QueueExecutor("duplex.console")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init() {
        let output = Style.of(.output)
        status = Style.of(.error)
        screen = Screen(prompt: output.paint(">", .green) + " ")
        isInteractive = Descriptor.input.isTerminal && output.isTerminal && Style.canMoveCursor(term: environment("TERM"))
        self.output = output
    }

    /// Prints a message that arrived.
    ///
    /// - Throws: `SystemError`, of which `isBrokenPipe` means that nobody reads any more.
    func show(_ message: Message) throws(SystemError) {
        var line = output.line(message)
        guard isInteractive else {
            line.writeInteger(UInt8(ascii: "\n"))
            return try Descriptor.output.writeAll(Array(line.readableBytesView))
        }
        try Descriptor.output.writeAll(Array(above(String(buffer: line)).utf8))
    }

    /// Says on stderr what happens. Some of it may be a server's words, so it is made harmless.
    func note(_ text: String) { say(text, .faint) }

    /// Says on stderr what went wrong.
    func fail(_ text: String) { say("duplex: \(text)", .red) }

    private func say(_ text: String, _ colour: Style.Colour) {
        let line = status.paint(Escaping.escape(text), colour)
        let shown = isInteractive && status.isTerminal ? above(line) : line + "\n"
        // If stderr does not work there is nobody to tell.
        try? Descriptor.error.writeAll(Array(shown.utf8))
    }

    private func above(_ line: String) -> String {
        if let size = Descriptor.output.windowSize { (screen.columns, screen.rows) = size }
        return screen.show(line)
    }

    // MARK: The prompt

    /// Lets the user type a line.
    func prompt() {
        guard isInteractive, !screen.isPrompting else { return }
        try? Descriptor.output.writeAll(Array(screen.showPrompt().utf8))
    }

    /// The user has typed a line.
    func lineEntered() { screen.lineEntered() }

    /// Nothing more is typed.
    func removePrompt() {
        guard isInteractive else { return }
        try? Descriptor.output.writeAll(Array(screen.removePrompt().utf8))
    }
}

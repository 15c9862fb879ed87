// How a message looks: to a person at a terminal, and to the next program in a pipe.

import NIOCore
import WebSocketCore
import WebSockets

/// How the output looks.
struct Style: Equatable, Sendable {
    /// Whether a person reads it: messages are then marked, made harmless and, if they are bytes, dumped.
    var isTerminal: Bool
    var hasColour: Bool

    static let plain = Style(isTerminal: false, hasColour: false)

    /// Colour is for terminals that know how, unless the user said otherwise (no-color.org: `NO_COLOR` set and not empty).
    init(isTerminal: Bool, noColour: String?, term: String?) {
        self.init(isTerminal: isTerminal, hasColour: isTerminal && Self.canMoveCursor(term: term) && (noColour ?? "").isEmpty)
    }

    /// How a standard stream looks, as the environment has it.
    static func of(_ descriptor: Descriptor) -> Style {
        Style(isTerminal: descriptor.isTerminal, noColour: environment("NO_COLOR"), term: environment("TERM"))
    }

    /// Whether a terminal understands escape sequences.
    static func canMoveCursor(term: String?) -> Bool { !["", "dumb"].contains(term ?? "") }

    init(isTerminal: Bool, hasColour: Bool) {
        self.isTerminal = isTerminal
        self.hasColour = hasColour
    }

    /// A message as one line: `< text` on a terminal; in a pipe the payload as it is, bytes too.
    func line(_ message: Message) -> ByteBuffer {
        guard isTerminal else { return message.payload }
        return ByteBuffer(string: paint("<", .cyan) + " " + (message.text.map(harmless) ?? dump(message.payload)))
    }

    private func dump(_ payload: ByteBuffer) -> String {
        paint("binary,", .faint) + " " + HexDump.line(payload.readableBytesView)
    }

    /// Text of a peer's, with escapes for what would control the terminal.
    func harmless(_ text: String) -> String { Escaping.escape(text) { paint($0, .faint) } }

    func paint(_ text: String, _ colour: Colour) -> String {
        hasColour ? "\u{1B}[\(colour.rawValue)m\(text)\u{1B}[0m" : text
    }

    /// Colours that are readable on light and on dark.
    enum Colour: Int {
        case faint = 2
        case red = 31
        case green = 32
        case yellow = 33
        case cyan = 36
    }
}

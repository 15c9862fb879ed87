// A prompt that arriving messages do not mangle.
//
// The terminal itself edits the line being typed, and only it knows what has been typed so far. So the line is left alone: room is made above
// it, the message goes there, and the cursor returns to where it was. The sequences are those of ECMA-48 and the VT100, which every
// terminal in use understands.

/// What to write so that a message appears above the line being typed.
struct Screen {
    /// The size in characters.
    var columns: Int
    var rows: Int
    /// Whether the cursor is in a line that begins with the prompt.
    private(set) var isPrompting = false
    let prompt: String

    init(columns: Int = 80, rows: Int = 24, prompt: String) {
        self.columns = columns
        self.rows = rows
        self.prompt = prompt
    }

    /// Begins a line to type in.
    mutating func showPrompt() -> String {
        isPrompting = true
        return prompt
    }

    /// The user has ended the line: the cursor is at the start of an empty one.
    mutating func lineEntered() { isPrompting = false }

    /// Shows a line (of text made harmless, colours allowed).
    func show(_ line: String) -> String {
        guard isPrompting else { return line + "\n" }
        let height = Self.height(of: line, columns: columns)
        // More than the screen holds can not be slipped in above; what was typed stays in the terminal, but is no longer seen.
        guard height < rows else { return "\r\u{1B}[K\(line)\n\(prompt)" }
        let down = String(repeating: "\u{1B}D", count: height)
        // Down and up again (at the bottom this scrolls), remember the place, insert empty rows and fill them, return, follow the line.
        return "\(down)\u{1B}[\(height)A\u{1B}7\r\u{1B}[\(height)L\(line)\u{1B}8\u{1B}[\(height)B"
    }

    /// Removes the prompt: nothing more is typed.
    mutating func removePrompt() -> String {
        defer { isPrompting = false }
        return isPrompting ? "\r\u{1B}[K" : ""
    }

    /// How many rows a line takes. When in doubt, more: an empty row is ugly, a row too few is overwritten.
    static func height(of line: String, columns: Int) -> Int {
        var row = 1
        var column = 0
        var isInEscape = false
        for scalar in line.unicodeScalars {
            if isInEscape {
                isInEscape = scalar != "m"
            } else if scalar == "\u{1B}" {
                isInEscape = true
            } else {
                let width = width(of: scalar)
                if column + width > columns {
                    row += 1
                    column = 0
                }
                column += width
            }
        }
        return row
    }

    /// From U+1100 on there are characters two columns wide; that some are narrow, or combine with others, costs at most a row.
    private static func width(of scalar: Unicode.Scalar) -> Int { scalar.value < 0x1100 ? 1 : 2 }
}

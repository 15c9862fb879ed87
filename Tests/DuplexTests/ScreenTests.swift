import Testing

@testable import duplex

/// As much of a terminal as `Screen` needs, to see what the user would see.
private struct Terminal {
    let columns: Int
    let rows: Int
    var cells: [[Character]]
    var row = 0
    var column = 0
    var saved = (row: 0, column: 0)
    var scrolledOff: [String] = []

    init(columns: Int, rows: Int) {
        (self.columns, self.rows) = (columns, rows)
        cells = Array(repeating: Array(repeating: " ", count: columns), count: rows)
    }

    private var blank: [Character] { Array(repeating: " ", count: columns) }
    var lines: [String] {
        (scrolledOff + cells.map(Self.text)).reversed().drop { $0.isEmpty }.reversed()
    }
    private static func text(_ cells: [Character]) -> String { String(String(cells).reversed().drop { $0 == " " }.reversed()) }

    private mutating func index() {
        if row < rows - 1 { return row += 1 }
        scrolledOff.append(Self.text(cells.removeFirst()))
        cells.append(blank)
    }

    mutating func write(_ text: String) {
        var rest = Array(text.unicodeScalars)[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "\n":
                index()
                column = 0
            case "\r": column = 0
            case "\u{1B}": escape(&rest)
            default: put(Character(scalar))
            }
        }
    }

    private mutating func put(_ character: Character) {
        if column == columns {
            index()
            column = 0
        }
        cells[row][column] = character
        column += 1
    }

    private mutating func escape(_ rest: inout ArraySlice<Unicode.Scalar>) {
        switch rest.popFirst() {
        case "D": index()
        case "7": saved = (row, column)
        case "8": (row, column) = saved
        case "[":
            var number = ""
            while let digit = rest.first, ("0"..."9").contains(digit) {
                number.unicodeScalars.append(digit)
                rest.removeFirst()
            }
            control(rest.popFirst(), Int(number) ?? 0)
        default: Issue.record("an escape sequence that is not known")
        }
    }

    private mutating func control(_ command: Unicode.Scalar?, _ number: Int) {
        switch command {
        case "A": row = max(0, row - number)
        case "B": row = min(rows - 1, row + number)
        case "K": cells[row].replaceSubrange(column..., with: blank.dropFirst(column))
        case "m": break
        case "L":
            cells.insert(contentsOf: Array(repeating: blank, count: number), at: row)
            cells.removeLast(number)
        default: Issue.record("a control sequence that is not known")
        }
    }
}

struct ScreenTests {
    @Test func showsLinesWhereThereIsNoPrompt() {
        let screen = Screen(prompt: "> ")
        #expect(screen.show("hello") == "hello\n")
    }

    @Test(arguments: [3, 6, 24])
    func leavesWhatIsTypedAlone(rows: Int) {
        var terminal = Terminal(columns: 20, rows: rows)
        var screen = Screen(columns: 20, rows: rows, prompt: "> ")
        terminal.write(screen.showPrompt())
        terminal.write("ty")
        terminal.write(screen.show("< one"))
        terminal.write("pe")
        terminal.write(screen.show("\u{1B}[36m<\u{1B}[0m two is over a row"))
        terminal.write("d")
        terminal.write(screen.show("< exactly twenty ch."))
        #expect(terminal.lines == ["< one", "< two is over a row", "< exactly twenty ch.", "> typed"])
        terminal.write("\n")
        screen.lineEntered()
        terminal.write(screen.show("< three"))
        terminal.write(screen.showPrompt())
        #expect(terminal.lines.suffix(3) == ["> typed", "< three", ">"])
    }

    @Test func wrapsLongLines() {
        var terminal = Terminal(columns: 10, rows: 8)
        var screen = Screen(columns: 10, rows: 8, prompt: "> ")
        terminal.write(screen.showPrompt() + "typed")
        terminal.write(screen.show("0123456789abcdefghijABC"))
        terminal.write(screen.show("next"))
        #expect(terminal.lines == ["0123456789", "abcdefghij", "ABC", "next", "> typed"])
    }

    @Test func showsWhatIsLargerThanTheScreen() {
        var terminal = Terminal(columns: 4, rows: 3)
        var screen = Screen(columns: 4, rows: 3, prompt: "> ")
        terminal.write(screen.showPrompt() + "t")
        terminal.write(screen.show("0123456789ab"))
        #expect(terminal.lines == ["0123", "4567", "89ab", ">"])
    }

    @Test func removesThePrompt() {
        var terminal = Terminal(columns: 20, rows: 4)
        var screen = Screen(columns: 20, rows: 4, prompt: "> ")
        #expect(screen.removePrompt() == "")
        terminal.write(screen.showPrompt() + "^C")
        terminal.write(screen.removePrompt())
        terminal.write(screen.show("closed"))
        #expect(terminal.lines == ["closed"])
    }

    @Test func measuresHeight() {
        #expect(Screen.height(of: "", columns: 10) == 1)
        #expect(Screen.height(of: "0123456789", columns: 10) == 1)
        #expect(Screen.height(of: "0123456789a", columns: 10) == 2)
        #expect(Screen.height(of: "\u{1B}[36m<\u{1B}[0m2345678", columns: 8) == 1)
        #expect(Screen.height(of: "漢漢漢漢漢", columns: 10) == 1)
        // A wide character that does not fit into the last column goes to the next row.
        #expect(Screen.height(of: "a漢漢漢漢漢", columns: 10) == 2)
        #expect(Screen.height(of: "äöüßäöüßäö", columns: 10) == 1)
    }
}

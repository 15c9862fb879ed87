// That edits of one text, made without knowing of each other, come to the same text.

import Foundation
import TestSupport
import Testing

@testable import Gallery

@Suite struct TextEditTests {
    private static let letters: [Unicode.Scalar] = ["a", "b", "c", "é", "世", "🌍", "\n", "\u{301}", " "]

    private func edit(_ steps: TextEdit.Step...) -> TextEdit {
        var edit = TextEdit()
        for step in steps { edit.append(step) }
        return edit
    }

    private func scalars(_ text: String) -> [Unicode.Scalar] { Array(text.unicodeScalars) }

    static func randomText(_ lengths: ClosedRange<Int>, using random: inout SeededGenerator) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: lengths, using: &random) { text.append(letters[Int.random(in: 0..<letters.count, using: &random)]) }
        return String(text)
    }

    static func randomEdit(of length: Int, using random: inout SeededGenerator) -> TextEdit {
        var edit = TextEdit()
        var left = length
        while left > 0 {
            let count = Int.random(in: 1...min(left, 6), using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                edit.append(.insert(randomText(1...4, using: &random)))
                edit.append(.keep(count))
            case 1: edit.append(.delete(count))
            default: edit.append(.keep(count))
            }
            left -= count
        }
        if Bool.random(using: &random) { edit.append(.insert(randomText(1...4, using: &random))) }
        return edit
    }

    @Test func appliesItsSteps() {
        let text = scalars("hello")
        #expect(edit(.keep(5)).applied(to: text) == text)
        #expect(edit(.keep(1), .delete(3), .insert("iy"), .keep(1)).applied(to: text) == scalars("hiyo"))
        #expect(edit(.insert("🌍"), .delete(5)).applied(to: text) == scalars("🌍"))
    }

    @Test func stepsOfAKindBecomeOneAndEmptyOnesNone() {
        let steps: [TextEdit.Step] = [
            .keep(0), .keep(1), .keep(2), .insert(""), .insert("a"), .insert("b"), .delete(0), .delete(1), .delete(1),
        ]
        var joined = TextEdit()
        for step in steps { joined.append(step) }
        #expect(joined.steps == [.keep(3), .insert("ab"), .delete(2)])
        #expect(joined.lengthBefore == 5)
    }

    @Test func whatCameFirstIsLeft() {
        let mine = edit(.keep(1), .insert("M"), .keep(1))
        let others = edit(.keep(1), .insert("O"), .keep(1))
        #expect(mine.transformed(after: others).applied(to: others.applied(to: scalars("ab"))) == scalars("aOMb"))
    }

    @Test func deletedTwiceIsDeletedOnceAndWhatWasPutInsideStays() {
        let mine = edit(.keep(1), .delete(3), .keep(1))
        #expect(mine.transformed(after: edit(.delete(3), .keep(2))).steps == [.delete(1), .keep(1)])
        let inside = edit(.keep(2), .insert("xy"), .keep(3))
        #expect(mine.transformed(after: inside).steps == [.keep(1), .delete(1), .keep(2), .delete(2), .keep(1)])
    }

    @Test func readsAndWritesJSON() throws {
        let some = edit(.keep(5), .insert("a\"🌍"), .delete(2))
        #expect(try JSONEncoder().encode(some) == Data(#"[5,"a\"🌍",-2]"#.utf8))
        #expect(try JSONDecoder().decode(TextEdit.self, from: Data(#"[2,3,"a\"🌍",-1,-1]"#.utf8)) == some)
        let long = "[" + Array(repeating: "1,-1", count: 251).joined(separator: ",") + "]"
        for bad in ["[0]", "[20001]", "[-20001]", "[-9223372036854775808]", "[1.5]", "[null]", "[[1]]", "{}", "7", long] {
            #expect(throws: (any Error).self, "\(bad)") { try JSONDecoder().decode(TextEdit.self, from: Data(bad.utf8)) }
        }
    }

    /// Several people write at random, each with some edits under way and their own view of the text; messages to each take their time. All
    /// texts are the server's in the end, whatever the order.
    @Test(arguments: 0..<200 as Range<UInt64>) func randomEditsConverge(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        let start = scalars(Self.randomText(0...20, using: &random))
        var server = start
        var log: [(author: Int, edit: TextEdit)] = []
        var people = (0..<3).map { Writer(id: $0, text: start) }
        var steps = 120
        while steps > 0 || people.contains(where: { !$0.isSettled(log.count) }) {
            steps -= 1
            let one = Int.random(in: 0..<3, using: &random)
            switch Int.random(in: 0..<3, using: &random) {
            case 0 where steps > 0: people[one].write(Self.randomEdit(of: people[one].text.count, using: &random))
            case 1:
                guard let (revision, edit) = people[one].send() else { continue }
                let current = log[revision...].reduce(edit) { $0.transformed(after: $1.edit) }
                #expect(current.lengthBefore == server.count, "seed \(seed)")
                server = current.applied(to: server)
                log.append((one, current))
            default: if people[one].revision < log.count { people[one].receive(log[people[one].revision]) }
            }
        }
        for person in people { #expect(person.text == server, "seed \(seed)") }
    }
}

/// Somebody who writes: what the page does, but that each edit that waits is kept by itself.
private struct Writer {
    let id: Int
    var text: [Unicode.Scalar]
    var revision = 0
    /// Own edits that the server has not confirmed; the first is on its way if `isSent`.
    var unconfirmed: [TextEdit] = []
    var isSent = false

    init(id: Int, text: [Unicode.Scalar]) {
        self.id = id
        self.text = text
    }

    func isSettled(_ revision: Int) -> Bool { unconfirmed.isEmpty && self.revision == revision }

    mutating func write(_ edit: TextEdit) {
        text = edit.applied(to: text)
        unconfirmed.append(edit)
    }

    mutating func send() -> (Int, TextEdit)? {
        guard !isSent, let first = unconfirmed.first else { return nil }
        isSent = true
        return (revision, first)
    }

    mutating func receive(_ edited: (author: Int, edit: TextEdit)) {
        revision += 1
        guard edited.author != id else {
            unconfirmed.removeFirst()
            isSent = false
            return
        }
        var edit = edited.edit
        for index in unconfirmed.indices {
            let mine = unconfirmed[index]
            unconfirmed[index] = mine.transformed(after: edit)
            edit = edit.transformed(before: mine)
        }
        text = edit.applied(to: text)
    }
}

extension TextEdit {
    /// The other side of `transformed(after:)`: an edit that came first, for a text in which a later one is already. Only pages need it. Where
    /// both insert, this one is left, so it is told as if in front of every place: both are turned around, and the rule with them.
    fileprivate func transformed(before later: TextEdit) -> TextEdit {
        mirrored.transformed(after: later.mirrored).mirrored
    }

    private var mirrored: TextEdit {
        var result = TextEdit()
        for step in steps.reversed() {
            if case .insert(let text) = step {
                result.append(.insert(String(String.UnicodeScalarView(text.unicodeScalars.reversed()))))
            } else {
                result.append(step)
            }
        }
        return result
    }
}

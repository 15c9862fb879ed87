import NIOCore
import TestSupport
import Testing

@testable import duplex

struct LineSplitterTests {
    private func lines(_ pieces: [[UInt8]], limit: Int = LineSplitter.defaultLimit) throws -> [[UInt8]] {
        var splitter = LineSplitter(limit: limit)
        var lines: [ByteBuffer] = []
        for piece in pieces { lines += try splitter.append(piece) }
        if let last = splitter.finish() { lines.append(last) }
        return lines.map { Array($0.readableBytesView) }
    }

    @Test(arguments: [
        ("", []), ("a", ["a"]), ("a\n", ["a"]), ("a\nb", ["a", "b"]), ("\n", [""]), ("\n\n", ["", ""]), ("a\r\nb\n", ["a\r", "b"]),
    ])
    func splits(_ input: String, _ expected: [String]) throws {
        #expect(try lines([Array(input.utf8)]) == expected.map { Array($0.utf8) })
    }

    @Test func anySplitGivesTheSameLines() throws {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            let alphabet: [UInt8] = [0x0A, 0x61, 0xFF, 0]
            let input = (0..<Int.random(in: 0...40, using: &generator)).map { _ in alphabet[Int.random(in: 0...3, using: &generator)] }
            // The plain twin: what `split` makes of the whole, without the empty piece behind a last line feed.
            var expected = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map(Array.init)
            if expected.last?.isEmpty == true { expected.removeLast() }
            var pieces: [[UInt8]] = []
            var rest = input[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...rest.count, using: &generator)
                pieces.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            #expect(try lines(pieces) == expected, "seed \(seed), pieces \(pieces)")
        }
    }

    @Test func limitsTheLine() throws {
        #expect(try lines([Array("abc\nabc".utf8), Array("\n".utf8)], limit: 3).count == 2)
        #expect(throws: LineTooLong(limit: 3)) { try lines([Array("abcd\n".utf8)], limit: 3) }
        #expect(throws: LineTooLong(limit: 3)) { try lines([Array("ab".utf8), Array("cd".utf8)], limit: 3) }
    }
}

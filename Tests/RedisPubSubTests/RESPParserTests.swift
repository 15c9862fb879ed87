import NIOCore
import TestSupport
import Testing

@testable import RedisPubSub

@Suite struct RESPParserTests {
    /// Exact bytes, and what they say: the examples of the specification, and what Redis 7 was seen to send.
    static let replies: [(String, [RESPValue])] = [
        ("+OK\r\n", [.simple("OK")]),
        ("-ERR unknown command 'HELLO'\r\n", [.error("ERR unknown command 'HELLO'")]),
        (":1000\r\n:-7\r\n:+7\r\n", [.integer(1000), .integer(-7), .integer(7)]),
        (":9223372036854775807\r\n:-9223372036854775808\r\n", [.integer(.max), .integer(.min)]),
        ("$5\r\nhello\r\n$0\r\n\r\n$-1\r\n", [bulk("hello"), bulk(""), .null]),
        ("$8\r\n\r\n$1\r\nx\r\r\n", [bulk("\r\n$1\r\nx\r")]),
        ("*2\r\n$5\r\nhello\r\n:1\r\n*0\r\n*-1\r\n", [.array([bulk("hello"), .integer(1)]), .array([]), .null]),
        ("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", [.array([bulk("subscribe"), bulk("a"), .integer(1)])]),
        (">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n+PONG\r\n", [.push([bulk("message"), bulk("a"), bulk("hi")]), .simple("PONG")]),
        ("%2\r\n+proto\r\n:3\r\n+modules\r\n*0\r\n", [.map([.simple("proto"), .integer(3), .simple("modules"), .array([])])]),
        ("~2\r\n#t\r\n#f\r\n", [.array([.boolean(true), .boolean(false)])]),
        ("_\r\n,1.5\r\n,inf\r\n,-10\r\n", [.null, .double(1.5), .double(.infinity), .double(-10)]),
        ("(3492890328409238509324850943850943825024385\r\n", [.bigNumber("3492890328409238509324850943850943825024385")]),
        ("!21\r\nSYNTAX invalid syntax\r\n", [.error("SYNTAX invalid syntax")]),
        ("=6\r\ntxt:ab\r\n", [bulk("txt:ab")]),
        ("|1\r\n+ttl\r\n:3600\r\n$1\r\nx\r\n", [bulk("x")]),
        ("*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:1\r\n:2\r\n", [.array([.integer(1), .integer(2)])]),
        ("*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n$1\r\nx\r\n", [.array([.array([.integer(1), .array([])]), .array([bulk("x")])])]),
    ]

    private static func bulk(_ text: String) -> RESPValue { .bulk(ByteBuffer(string: text)) }

    /// What a parser says to bytes in pieces.
    private func parse(_ pieces: [ArraySlice<UInt8>], _ limits: RESPLimits = RESPLimits()) throws(RESPError) -> [RESPValue] {
        var parser = RESPParser(limits: limits)
        var values: [RESPValue] = []
        for piece in pieces {
            parser.append(ByteBuffer(bytes: piece))
            while let value = try parser.next() { values.append(value) }
        }
        return values
    }

    private func rule(_ text: String, _ limits: RESPLimits = RESPLimits()) -> RESPError.Rule? {
        do throws(RESPError) {
            _ = try parse([Array(text.utf8)[...]], limits)
            return nil
        } catch {
            return error.rule
        }
    }

    @Test func readsExactBytes() throws {
        for (bytes, values) in Self.replies { #expect(try parse([Array(bytes.utf8)[...]]) == values, "\(bytes.debugDescription)") }
    }

    @Test func readsTheSameHoweverTheBytesAreCut() throws {
        let bytes = Array(Self.replies.map(\.0).joined().utf8)
        let values = Self.replies.flatMap(\.1)
        for cut in 0...bytes.count { #expect(try parse([bytes[..<cut], bytes[cut...]]) == values, "cut at \(cut)") }
        #expect(try parse(bytes.indices.map { bytes[$0...$0] }) == values, "byte by byte")
    }

    @Test(arguments: [
        ("?\r\n", RESPError.Rule.unknownType), ("\r\n", .badEnd), ("+OK\n", .badEnd), ("$1\r\nxyz", .badEnd), ("$1\r\nx\n\r", .badEnd),
        (":9223372036854775808\r\n", .badNumber), (":-9223372036854775809\r\n", .badNumber), (":-\r\n", .badNumber),
        (":\r\n", .badNumber), (":1x\r\n", .badNumber), (": 1\r\n", .badNumber), (":99999999999999999999\r\n", .badNumber),
        ("$-2\r\n", .badNumber), ("$x\r\n", .badNumber), ("*-2\r\n", .badNumber), ("%-1\r\n", .badNumber), ("#x\r\n", .badNumber),
        (",0x1p3\r\n", .badNumber), (",\r\n", .badNumber), ("(1.5\r\n", .badNumber), ("_x\r\n", .badNumber),
        ("$?\r\n", .streamed), ("*?\r\n", .streamed), ("!-1\r\n", .badNumber),
    ]) func refusesWhatIsNotRESP(bytes: String, expected: RESPError.Rule) { #expect(rule(bytes) == expected) }

    @Test func refusesTextThatIsNotUTF8() {
        #expect(throws: RESPError(.badText)) { try parse([[0x2B, 0xFF, 0x0D, 0x0A]]) }
        #expect(throws: RESPError(.badNumber)) { try parse([[0x3A, 0xFF, 0x0D, 0x0A]]) }
    }

    @Test func limitsNestingAndLinesAndSizesBeforeBuffering() {
        #expect(rule(String(repeating: "*1\r\n", count: 16) + ":1\r\n") == nil)
        #expect(rule(String(repeating: "*1\r\n", count: 17)) == .tooDeep)
        #expect(rule("+" + String(repeating: "x", count: 65_536)) == .lineTooLong)
        #expect(rule("+" + String(repeating: "x", count: 65_536) + "\r\n") == .lineTooLong)
        // Announced only: nothing of it has come.
        let limits = RESPLimits(maxReplySize: 1000)
        #expect(rule("$968\r\n", limits) == nil)
        #expect(rule("$969\r\n", limits) == .tooLarge)
        #expect(rule("*30\r\n", limits) == nil)
        #expect(rule("*31\r\n", limits) == .tooLarge)
        #expect(rule("%16\r\n", limits) == .tooLarge)
        #expect(rule("$\(Int.max)\r\n") == .tooLarge)
        #expect(rule("*\(Int.max)\r\n") == .tooLarge)
        #expect(rule("*2\r\n$500\r\n\(String(repeating: "x", count: 500))\r\n$500\r\n", limits) == .tooLarge)
        // Each reply has the limit for itself.
        #expect(rule(String(repeating: "$500\r\n\(String(repeating: "x", count: 500))\r\n", count: 10), limits) == nil)
    }

    /// A property: what a program may send is read back as it was, in pieces of any size.
    @Test func readsCommandsBack() throws {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            var command = RedisCommand([])
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                command.arguments.append(
                    ByteBuffer(bytes: (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }))
            }
            var bytes = ByteBuffer()
            command.write(to: &bytes)
            #expect(bytes.readableBytes <= command.size)
            let all = Array(buffer: bytes)
            let step = Int.random(in: 1...7, using: &random)
            let pieces = stride(from: 0, to: all.count, by: step).map { all[$0..<min($0 + step, all.count)] }
            #expect(try parse(pieces) == [.array(command.arguments.map { .bulk($0) })], "seed \(seed)")
        }
    }
}

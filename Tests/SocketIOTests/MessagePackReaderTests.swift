// MessagePack: the specification's formats byte by byte, notepack.io's extensions, and what is refused.

import NIOCore
import TestSupport
import Testing
import WebSockets

@testable import SocketIO

@Suite struct MessagePackReaderTests {
    private func read(_ bytes: [UInt8], maxDepth: Int = 128) throws(MessagePackError) -> SocketIOValue {
        try MessagePackReader.read(ByteBuffer(bytes: bytes), maxDepth: maxDepth)
    }

    private func bytes(_ value: SocketIOValue) -> [UInt8] {
        var writer = MessagePackWriter(ByteBuffer())
        writer.write(value)
        return Array(buffer: writer.buffer)
    }

    private static func filled(_ header: [UInt8], _ byte: UInt8, _ count: Int) -> [UInt8] { header + Array(repeating: byte, count: count) }

    /// Each format at both ends of where it is the smallest; read, and written to the same.
    @Test(
        arguments: [
            (nil, [0xC0]), (false, [0xC2]), (true, [0xC3]), (0, [0x00]), (127, [0x7F]), (128, [0xCC, 0x80]), (255, [0xCC, 0xFF]),
            (256, [0xCD, 1, 0]),
            (65535, [0xCD, 0xFF, 0xFF]), (65536, [0xCE, 0, 1, 0, 0]), (4_294_967_295, [0xCE, 0xFF, 0xFF, 0xFF, 0xFF]),
            (4_294_967_296, [0xCF, 0, 0, 0, 1, 0, 0, 0, 0]),
            (.int(.max), [0xCF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), (-1, [0xFF]), (-32, [0xE0]), (-33, [0xD0, 0xDF]),
            (-128, [0xD0, 0x80]),
            (-129, [0xD1, 0xFF, 0x7F]), (-32768, [0xD1, 0x80, 0]), (-32769, [0xD2, 0xFF, 0xFF, 0x7F, 0xFF]),
            (.int(-2_147_483_648), [0xD2, 0x80, 0, 0, 0]),
            (.int(-2_147_483_649), [0xD3, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]),
            (.int(.min), [0xD3, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            (0.5, [0xCB, 0x3F, 0xE0, 0, 0, 0, 0, 0, 0]), (.double(.infinity), [0xCB, 0x7F, 0xF0, 0, 0, 0, 0, 0, 0]), ("", [0xA0]),
            ("é", [0xA2, 0xC3, 0xA9]),
            (.string(String(repeating: "a", count: 31)), filled([0xBF], 0x61, 31)),
            (.string(String(repeating: "a", count: 32)), filled([0xD9, 32], 0x61, 32)),
            (.string(String(repeating: "a", count: 255)), filled([0xD9, 255], 0x61, 255)),
            (.string(String(repeating: "a", count: 256)), filled([0xDA, 1, 0], 0x61, 256)),
            (.string(String(repeating: "a", count: 65536)), filled([0xDB, 0, 1, 0, 0], 0x61, 65536)),
            (.binary(ByteBuffer()), [0xC4, 0]), (.binary(ByteBuffer(bytes: [1, 2])), [0xC4, 2, 1, 2]),
            (.binary(ByteBuffer(repeating: 7, count: 255)), filled([0xC4, 255], 7, 255)),
            (.binary(ByteBuffer(repeating: 7, count: 256)), filled([0xC5, 1, 0], 7, 256)),
            (.binary(ByteBuffer(repeating: 7, count: 65536)), filled([0xC6, 0, 1, 0, 0], 7, 65536)),
            ([], [0x90]), ([1, "a"], [0x92, 1, 0xA1, 0x61]), (.array(Array(repeating: 1, count: 15)), filled([0x9F], 1, 15)),
            (.array(Array(repeating: 1, count: 16)), filled([0xDC, 0, 16], 1, 16)),
            (.array(Array(repeating: 1, count: 65536)), filled([0xDD, 0, 1, 0, 0], 1, 65536)),
            ([:], [0x80]), (["a": ["b": nil]], [0x81, 0xA1, 0x61, 0x81, 0xA1, 0x62, 0xC0]),
        ] as [(SocketIOValue, [UInt8])])
    func readsAndWritesTheSmallestForm(value: SocketIOValue, encoded: [UInt8]) throws {
        #expect(try read(encoded) == value)
        #expect(bytes(value) == encoded)
    }

    @Test func mapsOfManyMembers() throws {
        for count in [15, 16, 300] {
            let object = SocketIOObject((0..<count).map { (key: String($0), value: .int($0)) })
            let encoded = bytes(.object(object))
            #expect(encoded.prefix(3) == (count == 15 ? [0x8F, 0xA1, 0x30] : [0xDE, UInt8(count >> 8), UInt8(count & 255)]))
            #expect(try read(encoded) == .object(object))
        }
    }

    /// Forms that are not the smallest, and those that only others write.
    @Test(
        arguments: [
            ([0xCC, 1], 1), ([0xCD, 0, 1], 1), ([0xCE, 0, 0, 0, 1], 1), ([0xCF, 0, 0, 0, 0, 0, 0, 0, 1], 1), ([0xD0, 1], 1),
            ([0xD1, 0, 1], 1),
            ([0xD2, 0, 0, 0, 1], 1), ([0xD3, 0, 0, 0, 0, 0, 0, 0, 1], 1), ([0xCA, 0x3F, 0, 0, 0], 0.5), ([0xD9, 1, 0x61], "a"),
            ([0xDB, 0, 0, 0, 1, 0x61], "a"),
            ([0xCF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], .double(0x1p64)), ([0xDC, 0, 1, 0xC0], [nil]),
            ([0xDD, 0, 0, 0, 0], []),
            ([0xDE, 0, 1, 0xA1, 0x61, 1], ["a": 1]), ([0xDF, 0, 0, 0, 0], [:]), ([0x82, 0xA1, 0x61, 1, 0xA1, 0x61, 2], ["a": 2]),
            ([0x81, 7, 1], ["7": 1]),
            ([0xC5, 0, 1, 9], .binary(ByteBuffer(bytes: [9]))), ([0xC6, 0, 0, 0, 0], .binary(ByteBuffer())),
        ] as [([UInt8], SocketIOValue)])
    func readsOtherForms(encoded: [UInt8], value: SocketIOValue) throws { #expect(try read(encoded) == value) }

    /// What notepack.io of version 2 and of version 3 write, and what it reads any other extension as.
    @Test(
        arguments: [
            ([0xD6, 0xFF, 0x39, 0x45, 0x79, 0x80], "2000-06-13T00:00:00.000Z"),
            ([0xD7, 0, 0, 0, 0, 0xDF, 0xB7, 0x62, 0x9C, 0], "2000-06-13T00:00:00.000Z"),
            ([0xD7, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "1969-12-31T23:59:59.999Z"),
            ([0xD7, 0xFF, 0xEE, 0x6B, 0x27, 0xFC, 0, 0, 0, 1], "1970-01-01T00:00:01.999Z"),
            ([0xD7, 0xFF, 0, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0xFF], "2514-05-30T01:53:03.000Z"),
            ([0xC7, 12, 0xFF, 0x3B, 0x9A, 0xC9, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "1969-12-31T23:59:59.999Z"),
            ([0xC7, 4, 0xFF, 0, 0, 0, 1], "1970-01-01T00:00:01.000Z"), ([0xD4, 0, 0], nil),
            ([0xC7, 4, 0, 1, 2, 3, 4], .binary(ByteBuffer(bytes: [1, 2, 3, 4]))), ([0xC8, 0, 1, 0, 9], .binary(ByteBuffer(bytes: [9]))),
            ([0xC9, 0, 0, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8], .binary(ByteBuffer(bytes: [1, 2, 3, 4, 5, 6, 7, 8]))),
            ([0xC7, 1, 0, 5], .binary(ByteBuffer(bytes: [5]))),
            ([0xC7, 2, 1, 0x34, 0x32], "42"), ([0xD4, 5, 9], [5, .binary(ByteBuffer(bytes: [9]))]),
            ([0xD5, 0x80, 1, 2], [-128, .binary(ByteBuffer(bytes: [1, 2]))]),
            ([0xD8, 7] + Array(repeating: 1, count: 16), [7, .binary(ByteBuffer(repeating: 1, count: 16))]),
            ([0xC7, 0, 2], [2, .binary(ByteBuffer())]),
        ] as [([UInt8], SocketIOValue)])
    func readsExtensions(encoded: [UInt8], value: SocketIOValue) throws { #expect(try read(encoded) == value) }

    @Test(
        arguments: [
            ([], MessagePackError.Reason.endsEarly, 0), ([0xC1], .unusedCode, 1), ([1, 2], .trailingBytes, 1), ([0xA1], .endsEarly, 1),
            ([0xD9], .endsEarly, 1),
            ([0xA1, 0xFF], .invalidUTF8, 1), ([0xA2, 0xED, 0xA0], .invalidUTF8, 1), ([0xCD, 1], .endsEarly, 1),
            ([0xC4, 2, 1], .endsEarly, 2),
            ([0x92, 1], .endsEarly, 1), ([0x81, 0xA1, 0x61], .endsEarly, 3), ([0x81, 0xC0, 1], .badName, 2),
            ([0x81, 0x90, 1], .badName, 2),
            ([0x81, 0xCB, 0, 0, 0, 0, 0, 0, 0, 0, 1], .badName, 10), ([0xD4, 5], .endsEarly, 2),
            ([0xC7, 3, 0xFF, 1, 2, 3], .badTimestamp, 3), ([0xD5, 0xFF, 1, 2], .badTimestamp, 2),
            ([0xD7, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0], .badTimestamp, 10),
            ([0xC7, 12, 0xFF, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], .badTimestamp, 15),
            ([0xC7, 12, 0xFF, 0, 0, 0, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], .badTimestamp, 15),
            ([0xD7, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], .badTimestamp, 10),
            ([0xD7, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], .badTimestamp, 10),
            // Lengths that are declared and not there: nothing is allocated for them.
            ([0xDD, 0xFF, 0xFF, 0xFF, 0xFF], .endsEarly, 5), ([0xDF, 0xFF, 0xFF, 0xFF, 0xFF], .endsEarly, 5),
            ([0xDB, 0xFF, 0xFF, 0xFF, 0xFF], .endsEarly, 5),
            ([0xC6, 0xFF, 0xFF, 0xFF, 0xFF], .endsEarly, 5), ([0xC9, 0xFF, 0xFF, 0xFF, 0xFF, 3], .endsEarly, 6),
            ([0xDC, 0xFF, 0xFF, 1, 2, 3], .endsEarly, 3),
        ] as [([UInt8], MessagePackError.Reason, Int)])
    func refuses(encoded: [UInt8], reason: MessagePackError.Reason, offset: Int) {
        #expect(throws: MessagePackError(reason: reason, offset: offset)) { try read(encoded) }
    }

    @Test func depthHasALimit() throws {
        let fits = Array(repeating: 0x91 as UInt8, count: 128) + [1]
        _ = try read(fits)
        #expect(throws: MessagePackError(reason: .tooDeep, offset: 129)) { try read([0x91] + fits) }
        #expect(throws: MessagePackError(reason: .tooDeep, offset: 2)) { try read([0x91, 0x81, 0xA1, 0x61, 1], maxDepth: 1) }
        #expect(throws: MessagePackError(reason: .tooDeep, offset: 257)) {
            try read(Array(repeating: 0x91, count: 1_000_000), maxDepth: 256)
        }
        // In names, too, where nothing but a string or a number can stand.
        #expect(throws: MessagePackError(reason: .tooDeep, offset: 257)) {
            try read(Array(repeating: 0x81, count: 1_000_000), maxDepth: 256)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func isReadBackToTheSame(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for round in 0..<500 {
            let value = RandomValue.make(&generator)
            if try read(bytes(value)) != value { Issue.record("seed \(seed), round \(round): \(value)") }
        }
    }

    /// Every cut is an error, and no byte that is changed is a trap.
    @Test(arguments: [4, 5] as [UInt64])
    func noInputTraps(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<300 {
            var encoded = bytes(RandomValue.make(&generator, depth: 2))
            for length in 0..<encoded.count { #expect(throws: MessagePackError.self) { try read(Array(encoded[..<length])) } }
            for _ in 0..<20 {
                encoded[Int.random(in: 0..<encoded.count, using: &generator)] = .random(in: 0...255, using: &generator)
                _ = try? read(encoded)
            }
        }
    }
}

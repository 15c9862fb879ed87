import TestSupport
import Testing
import WebSocketCore

@testable import WebSocketDeflate

/// Decompresses a message.
func inflate(_ inflater: Inflater, _ compressed: [UInt8], limit: Int = 1 << 20, scratch: Int = 4096) throws(ProtocolError) -> [UInt8] {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: scratch, alignment: 1)
    defer { room.deallocate() }
    var output: [UInt8] = []
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: compressed.count, alignment: 1)
    defer { memory.deallocate() }
    memory.copyBytes(from: compressed)
    try inflater.inflate(UnsafeRawBufferPointer(memory), limit: limit, scratch: room) { output += $0 }
    return output
}

struct InflaterTests {
    private static let hello = Array("Hello".utf8)

    /// The examples of RFC 7692 §7.2.3.
    @Test func readsTheExamplesOfTheRFC() throws {
        let inflater = try #require(Inflater(windowBits: 15))
        // §7.2.3.1
        #expect(try inflate(inflater, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]) == Self.hello)
        // §7.2.3.2: the second refers to the first.
        #expect(try inflate(inflater, [0xF2, 0x00, 0x11, 0x00, 0x00]) == Self.hello)
        // §7.2.3.3: a block without compression.
        #expect(try inflate(inflater, [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00]) == Self.hello)
        // §7.2.3.4: a block that says it is the last.
        #expect(try inflate(inflater, [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00]) == Self.hello)
        // §7.2.3.5: two blocks.
        #expect(try inflate(inflater, [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]) == Self.hello)
        // §7.2.3.6: an empty message.
        #expect(try inflate(inflater, [0x00]) == [])
    }

    @Test func readsAnEmptyMessageWithoutAByte() throws {
        let inflater = try #require(Inflater(windowBits: 15))
        #expect(try inflate(inflater, []) == [])
        #expect(try inflate(inflater, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]) == Self.hello)
    }

    @Test func readsOnAfterALastBlock() throws {
        let inflater = try #require(Inflater(windowBits: 15))
        // Without the byte that RFC 7692 §7.2.3.4 puts behind it.
        #expect(try inflate(inflater, [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]) == Self.hello)
        // It refers to the message before.
        #expect(try inflate(inflater, [0xF2, 0x00, 0x11, 0x00, 0x00]) == Self.hello)
    }

    @Test func forgetsWhatWasBeforeWhenReset() throws {
        let inflater = try #require(Inflater(windowBits: 15))
        #expect(try inflate(inflater, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]) == Self.hello)
        inflater.reset()
        #expect(throws: ProtocolError(.invalidDeflate)) { try inflate(inflater, [0xF2, 0x00, 0x11, 0x00, 0x00]) }
    }

    @Test(
        arguments: [
            // A reserved kind of block, a stored block whose lengths differ, and a reference to before the beginning.
            [0x06], [0x00, 0x05, 0x00, 0x00, 0x00], [0xF2, 0x00, 0x11, 0x00, 0x00],
            // Ends inside a block: of Huffman codes, and stored.
            [0xF2, 0x48, 0xCD], [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48], [0xFF, 0xFF, 0xFF, 0xFF],
        ] as [[UInt8]]) func refusesWhatIsNotDeflate(bytes: [UInt8]) throws
    {
        let inflater = try #require(Inflater(windowBits: 15))
        #expect(throws: ProtocolError(.invalidDeflate)) { try inflate(inflater, bytes) }
        inflater.reset()
        #expect(try inflate(inflater, [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]) == Self.hello)
    }

    // MARK: The limit

    @Test(arguments: [1, 2, 100, 4096]) func stopsAtTheLimit(scratch: Int) throws {
        let deflater = try #require(Deflater(level: 9, windowBits: 15, memoryLevel: 8))
        let inflater = try #require(Inflater(windowBits: 15))
        let bomb = try #require(deflate(deflater, [UInt8](repeating: 0, count: 10_000)))
        #expect(bomb.count < 50)
        #expect(try inflate(inflater, bomb, limit: 10_000, scratch: scratch).count == 10_000)
        inflater.reset()
        for limit in [0, 1, 99, 9_999] {
            var produced = 0
            let error = #expect(throws: ProtocolError.self) {
                let room = UnsafeMutableRawBufferPointer.allocate(byteCount: scratch, alignment: 1)
                defer { room.deallocate() }
                try bomb.withUnsafeBytes { try inflater.inflate($0, limit: limit, scratch: room) { produced += $0.count } }
            }
            #expect(error?.rule == .messageTooBig)
            #expect(error?.closeCode == .messageTooBig)
            #expect(produced <= limit)
            inflater.reset()
        }
    }

    @Test func anEmptyLimitLetsAnEmptyMessagePass() throws {
        let inflater = try #require(Inflater(windowBits: 15))
        #expect(try inflate(inflater, [0x00], limit: 0) == [])
    }

    // MARK: Both ends

    @Test(arguments: 1...40 as ClosedRange<UInt64>) func readsWhatTheDeflaterWrites(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let bits = Int.random(in: 8...15, using: &random)
        let deflater = try #require(
            Deflater(level: .random(in: 1...9, using: &random), windowBits: bits, memoryLevel: .random(in: 1...9, using: &random)))
        let inflater = try #require(Inflater(windowBits: bits))
        let keepsContext = Bool.random(using: &random)
        for index in 0..<30 {
            let message = Self.message(&random)
            if !keepsContext {
                deflater.reset()
                inflater.reset()
            }
            let compressed = try #require(deflate(deflater, message))
            let whole = try inflate(inflater, compressed, scratch: .random(in: 1...5000, using: &random))
            #expect(whole == message, "seed \(seed), message \(index)")
        }
    }

    /// Repetitive or random; empty ones are not compressed.
    private static func message(_ random: inout SeededGenerator) -> [UInt8] {
        let words = ["{\"user\":", "\"room\"", "[1,2,3]", "lorem ", "ipsum ", "\u{1F600}"]
        let count = Int.random(in: 1...400, using: &random)
        if Bool.random(using: &random) { return (0..<20 * count).map { _ in UInt8.random(in: 0...255, using: &random) } }
        return (0..<count).flatMap { _ in Array((words.randomElement(using: &random) ?? "").utf8) }
    }
}

/// Compresses a message.
func deflate(_ deflater: Deflater, _ message: [UInt8]) -> [UInt8]? {
    guard let bound = deflater.bound(message.count) else { return nil }
    var output = [UInt8](repeating: 0, count: bound)
    return message.withUnsafeBytes { message in
        output.withUnsafeMutableBytes { deflater.deflate(message, into: $0) }
    }.map { Array(output[..<$0]) }
}

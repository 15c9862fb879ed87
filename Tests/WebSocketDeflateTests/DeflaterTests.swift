import TestSupport
import Testing

@testable import WebSocketDeflate

struct DeflaterTests {
    private static let hello = Array("Hello".utf8)

    /// The examples of RFC 7692 §7.2.3.1 and §7.2.3.2.
    @Test func writesTheExamplesOfTheRFC() throws {
        let deflater = try #require(Deflater(level: 6, windowBits: 15, memoryLevel: 8))
        #expect(deflate(deflater, Self.hello) == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
        #expect(deflate(deflater, Self.hello) == [0xF2, 0x00, 0x11, 0x00, 0x00])
        deflater.reset()
        #expect(deflate(deflater, Self.hello) == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
    }

    /// No code says "as before", so that whatever the window is, it is large enough.
    @Test func refersToNothingWhereTheWindowIs8() throws {
        let deflater = try #require(Deflater(level: 6, windowBits: 8, memoryLevel: 8))
        let compressed = try #require(deflate(deflater, [UInt8](repeating: 65, count: 1000)))
        // A byte is a code of one bit at least.
        #expect(compressed.count > 1000 / 8)
    }

    @Test(arguments: [-1, 0, 7, 16, 100]) func takesTheNearestOfWhatIsPossible(value: Int) throws {
        let deflater = try #require(Deflater(level: value, windowBits: value, memoryLevel: value))
        let inflater = try #require(Inflater(windowBits: value))
        let message = Array("the nearest of the nearest".utf8)
        #expect(try inflate(inflater, try #require(deflate(deflater, message))) == message)
    }

    @Test func givesUpWhereThereIsTooLittleRoom() throws {
        let deflater = try #require(Deflater(level: 6, windowBits: 15, memoryLevel: 8))
        var output = [UInt8](repeating: 0, count: 3)
        let count = Self.hello.withUnsafeBytes { message in
            output.withUnsafeMutableBytes { deflater.deflate(message, into: $0) }
        }
        #expect(count == nil)
        deflater.reset()
        #expect(deflate(deflater, Self.hello) == [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00])
    }

    @Test(arguments: 1...20 as ClosedRange<UInt64>) func keepsToItsBound(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let level = Int.random(in: 1...9, using: &random)
        let deflater = try #require(
            Deflater(level: level, windowBits: .random(in: 8...15, using: &random), memoryLevel: .random(in: 1...9, using: &random)))
        for count in [0, 1, 2, 100, 5_000, 70_000] {
            let message = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            // Nothing to compress is nothing that was asked for; the connection never asks.
            if count > 0 { #expect(deflate(deflater, message) != nil, "seed \(seed), \(count) bytes") }
        }
    }
}

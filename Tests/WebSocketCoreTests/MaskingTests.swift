// Masking: the fast path against its scalar twin, and the RFC's own example (RFC 6455 §5.3, §5.7).

import Testing

@testable import WebSocketCore

@Suite struct MaskingTests {
    /// The key bytes as a frame header's reader would load them.
    private func key(_ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }
    }

    private func masked(_ bytes: [UInt8], key: UInt32, offset: Int = 0) -> [UInt8] {
        var copy = bytes
        copy.withUnsafeMutableBytes { Masking.apply(key: key, offset: offset, to: $0) }
        return copy
    }

    @Test func masksTheExampleOfTheRFC() {
        let result = masked(Array("Hello".utf8), key: key([0x37, 0xfa, 0x21, 0x3d]))
        #expect(result == [0x7f, 0x9f, 0x4d, 0x51, 0x58])
    }

    @Test func leavesNothingToDoForNoBytes() {
        Masking.apply(key: 0x0102_0304, offset: 3, to: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        #expect(masked([], key: 1) == [])
    }

    @Test func unmasksWhatItMasked() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(masked(masked(bytes, key: 0xdead_beef), key: 0xdead_beef) == bytes)
    }

    /// Every length around the block sizes, at every alignment and offset, with guard bytes that must survive.
    @Test(arguments: 0..<4) func agreesWithTheScalarTwin(offset: Int) {
        let key = key([0x11, 0x22, 0x44, 0x88])
        for length in 0...100 {
            for alignment in 0..<8 {
                var fast = (0..<length + 24).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 3) }
                var plain = fast
                fast.withUnsafeMutableBytes {
                    Masking.apply(key: key, offset: offset, to: .init(rebasing: $0[alignment..<alignment + length]))
                }
                plain.withUnsafeMutableBytes {
                    Masking.applyScalar(key: key, offset: offset, to: .init(rebasing: $0[alignment..<alignment + length]))
                }
                #expect(fast == plain, "length \(length), alignment \(alignment), offset \(offset)")
            }
        }
    }

    @Test func masksPiecesAsItMasksTheWhole() {
        let bytes = (0..<97).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let key = key([1, 2, 3, 4])
        let whole = masked(bytes, key: key)
        for split in 0...bytes.count {
            let pieces = masked(Array(bytes[..<split]), key: key) + masked(Array(bytes[split...]), key: key, offset: split)
            #expect(pieces == whole, "split at \(split)")
        }
    }

    @Test func countsOnlyTheOffsetsRemainder() {
        let bytes = Array("abcdefghij".utf8)
        #expect(masked(bytes, key: 0x0403_0201, offset: .max) == masked(bytes, key: 0x0403_0201, offset: 3))
    }
}

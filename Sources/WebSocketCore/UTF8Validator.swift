// UTF-8 validated as it arrives (RFC 6455 §8.1; the syntax is RFC 3629 §4).
//
// State: how many continuation bytes are still owed, and the range in which the next of them must lie. The range is 80…BF
// except right after a lead byte that could begin an overlong form (E0, F0), a surrogate (ED) or a value above U+10FFFF
// (F4). Keeping the narrowed range makes the first impossible byte the one that fails, also when a frame or a read ends
// in the middle of a character.
//
// Whole characters inside the buffer are read by words: 32 ASCII bytes, or 2, 3 or 4 bytes that make one character, at a
// time. Whatever that does not accept, the end of the buffer too, goes through the state byte by byte, so that there is
// one place that decides what is wrong.

/// Validates UTF-8 piece by piece, failing at the first byte that cannot be part of it (RFC 3629 §4).
///
/// A text message may be cut anywhere, in the middle of a character too: call ``validate(_:)`` for each piece, then
/// check ``isComplete`` at the end of the message.
public struct UTF8Validator: BitwiseCopyable, Sendable {
    /// How many continuation bytes the character at hand still needs, or ``failed``.
    private var owed: UInt8 = 0
    /// The least value the next continuation byte may have. Meaningful while bytes are owed.
    private var lowest: UInt8 = 0x80
    /// The greatest value the next continuation byte may have. Meaningful while bytes are owed.
    private var highest: UInt8 = 0xBF

    /// A value of ``owed`` that no character reaches: invalid bytes were seen.
    private static let failed: UInt8 = .max

    /// Creates a validator that expects the first byte of a text.
    public init() {}

    /// Whether the bytes so far end at the end of a character. False once invalid bytes were seen.
    public var isComplete: Bool { owed == 0 }

    /// Forgets everything seen, for the next text.
    public mutating func reset() {
        self = UTF8Validator()
    }

    /// Takes the next piece of the text and says whether everything so far can be the beginning of valid UTF-8.
    ///
    /// Overlong forms, surrogates and values above U+10FFFF fail at the earliest byte that gives them away. Once it has
    /// answered false it answers false until ``reset()``.
    public mutating func validate(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress, owed != Self.failed else { return owed != Self.failed }
        let count = bytes.count
        var index = 0
        while true {
            while owed != 0 {
                guard index < count else { return true }
                guard takeContinuation(start.load(fromByteOffset: index, as: UInt8.self)) else { return false }
                index &+= 1
            }
            index = Self.skipWholeCharacters(start, from: index, count: count)
            guard index < count else { return true }
            guard takeLead(start.load(fromByteOffset: index, as: UInt8.self)) else { return false }
            index &+= 1
        }
    }

    private mutating func takeContinuation(_ byte: UInt8) -> Bool {
        guard byte >= lowest, byte <= highest else { return fail() }
        owed &-= 1
        lowest = 0x80
        highest = 0xBF
        return true
    }

    private mutating func takeLead(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x00...0x7F: owed = 0
        case 0xC2...0xDF: expect(1, 0x80, 0xBF)
        case 0xE0: expect(2, 0xA0, 0xBF)  // below is overlong
        case 0xED: expect(2, 0x80, 0x9F)  // above is a surrogate
        case 0xE1...0xEF: expect(2, 0x80, 0xBF)
        case 0xF0: expect(3, 0x90, 0xBF)  // below is overlong
        case 0xF4: expect(3, 0x80, 0x8F)  // above is beyond U+10FFFF
        case 0xF1...0xF3: expect(3, 0x80, 0xBF)
        default: return fail()
        }
        return true
    }

    private mutating func expect(_ count: UInt8, _ lowest: UInt8, _ highest: UInt8) {
        owed = count
        self.lowest = lowest
        self.highest = highest
    }

    private mutating func fail() -> Bool {
        owed = Self.failed
        return false
    }
}

extension UTF8Validator {
    /// The index of the first byte that is not known to belong to a whole, valid character.
    private static func skipWholeCharacters(_ start: UnsafeRawPointer, from: Int, count: Int) -> Int {
        var index = from
        while true {
            index = skipASCII(start, from: index, count: count)
            // Characters of several bytes come in runs: stay here until an ASCII byte or the buffer's end comes near.
            var length = wideCharacter(start, at: index, count: count)
            guard length > 0 else { return index }
            repeat {
                index &+= length
                length = wideCharacter(start, at: index, count: count)
            } while length > 0
        }
    }

    private static func skipASCII(_ start: UnsafeRawPointer, from: Int, count: Int) -> Int {
        var index = from
        while count &- index >= 32, isASCII(start.loadUnaligned(fromByteOffset: index, as: SIMD4<UInt64>.self)) {
            index &+= 32
        }
        while count &- index >= 8 {
            let high = UInt64(littleEndian: start.loadUnaligned(fromByteOffset: index, as: UInt64.self)) & 0x8080_8080_8080_8080
            guard high == 0 else { return index &+ high.trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        // Up to seven bytes are left. Looking at some ASCII bytes twice is cheaper than at each of these alone.
        if count &- from >= 8, start.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
            return count
        }
        while index < count, start.load(fromByteOffset: index, as: UInt8.self) < 0x80 {
            index &+= 1
        }
        return index
    }

    @inline(__always)
    private static func isASCII(_ words: SIMD4<UInt64>) -> Bool {
        (words[0] | words[1] | words[2] | words[3]) & 0x8080_8080_8080_8080 == 0
    }

    /// The length of the whole valid character of several bytes at `index`, or 0 where there is none or fewer than four
    /// bytes are left to look at.
    ///
    /// The first byte is the word's lowest. Each mask compares the length bits of lead and continuation bytes in one go;
    /// what is left is the value's range, read from the few bits in which the excluded values differ.
    @inline(__always)
    private static func wideCharacter(_ start: UnsafeRawPointer, at index: Int, count: Int) -> Int {
        guard count &- index >= 4 else { return 0 }
        let word = UInt32(littleEndian: start.loadUnaligned(fromByteOffset: index, as: UInt32.self))
        if word & 0x00C0_C0F0 == 0x0080_80E0 {
            let range = word & 0x200F  // E0 with 80…9F is overlong, ED with A0…BF a surrogate
            return range != 0 && range != 0x200D ? 3 : 0
        }
        if word & 0xC0E0 == 0x80C0 {
            return word & 0x1E != 0 ? 2 : 0  // C0 and C1 are overlong
        }
        if word & 0xC0C0_C0F8 == 0x8080_80F0 {
            let value = (word & 0x07) << 2 | (word & 0x3000) >> 12  // the upper five bits: U+10000…U+10FFFF is 1…16
            return value &- 1 < 16 ? 4 : 0
        }
        return 0
    }
}

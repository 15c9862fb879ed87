// Masking of payload data, in place (RFC 6455 §5.3).
//
// Every byte a client sends is masked, so a server passes over each received byte here once. The work is done in blocks of
// 32 bytes, which the compiler turns into vector instructions, then in words, then in bytes. There is no set-up and no
// alignment prologue: unaligned loads cost nothing on the processors that matter, and most messages are short.

/// Masks and unmasks payload data in place (RFC 6455 §5.3).
///
/// Masking is its own inverse: the same call masks what is to be sent and unmasks what was received.
public enum Masking {
    /// Masks or unmasks bytes in place.
    ///
    /// - Parameters:
    ///   - key: The four key bytes in the order in which they stand on the wire, as `loadUnaligned(as: UInt32.self)` reads
    ///     them on this host.
    ///   - offset: The position of the first byte within the frame's payload. Only its remainder by 4 counts.
    ///   - bytes: The payload, or the piece of it that begins at `offset`. It may be empty and need not be aligned.
    public static func apply(key: UInt32, offset: Int, to bytes: UnsafeMutableRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        let key = rotated(key, by: offset)
        let word = UInt64(key) << 32 | UInt64(key)
        let count = bytes.count
        var index = 0
        while count &- index >= 32 {
            exclusiveOr(start + index, SIMD4(repeating: word))
            index &+= 32
        }
        while count &- index >= 8 {
            exclusiveOr(start + index, word)
            index &+= 8
        }
        if count &- index >= 4 {
            exclusiveOr(start + index, key)
            index &+= 4
        }
        // At most three bytes are left, and 32, 8 and 4 are multiples of the key's length: they take its first bytes.
        var rest = UInt32(littleEndian: key)
        while index < count {
            exclusiveOr(start + index, UInt8(truncatingIfNeeded: rest))
            rest &>>= 8
            index &+= 1
        }
    }

    /// Masks or unmasks bytes one by one: the plain twin of ``apply(key:offset:to:)``, which tests compare it with.
    ///
    /// > RFC 6455 §5.3: Octet i of the transformed data ("transformed-octet-i") is the XOR of octet i of the original data
    /// > ("original-octet-i") with octet at index i modulo 4 of the masking key ("masking-key-octet-j")
    public static func applyScalar(key: UInt32, offset: Int, to bytes: UnsafeMutableRawBufferPointer) {
        withUnsafeBytes(of: key) { key in
            for index in bytes.indices {
                bytes[index] ^= key[(offset & 3 &+ index) & 3]
            }
        }
    }

    /// The key that a payload starting at `offset` sees: its bytes in memory order, turned left by `offset` modulo 4.
    private static func rotated(_ key: UInt32, by offset: Int) -> UInt32 {
        let bits = UInt32(truncatingIfNeeded: offset & 3) &* 8
        let value = UInt32(littleEndian: key)
        // `&<<` takes its distance modulo 32, so that a rotation by 0 needs no branch.
        return (value &>> bits | value &<< (32 &- bits)).littleEndian
    }

    @inline(__always)
    private static func exclusiveOr(_ pointer: UnsafeMutableRawPointer, _ mask: SIMD4<UInt64>) {
        pointer.storeBytes(of: pointer.loadUnaligned(as: SIMD4<UInt64>.self) ^ mask, as: SIMD4<UInt64>.self)
    }

    @inline(__always)
    private static func exclusiveOr<Word: FixedWidthInteger & BitwiseCopyable>(_ pointer: UnsafeMutableRawPointer, _ mask: Word) {
        pointer.storeBytes(of: pointer.loadUnaligned(as: Word.self) ^ mask, as: Word.self)
    }
}

// What reading and writing JSON have in common (RFC 8259 §7): which bytes of a string stand for themselves.

enum JSONText {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highBits: UInt64 = 0x8080_8080_8080_8080

    /// How many of the first bytes stand for themselves in a string: no quotation mark, no reverse solidus, no control character.
    ///
    /// Eight bytes at a time: a byte's high bit survives `(x - n) & ~x` if the byte is below n. A borrow may mark bytes above one that is
    /// rightly marked, never below, and only the lowest mark counts.
    @inline(__always)
    static func plainLength(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
        var index = 0
        while count &- index >= 8 {
            let word = UInt64(littleEndian: UnsafeRawPointer(bytes + index).loadUnaligned(as: UInt64.self))
            let quotes = word ^ (ones &* 0x22)
            let escapes = word ^ (ones &* 0x5C)
            let marks =
                (((word &- ones &* 0x20) & ~word) | ((quotes &- ones) & ~quotes) | ((escapes &- ones) & ~escapes)) & highBits
            if marks != 0 { return index &+ marks.trailingZeroBitCount &>> 3 }
            index &+= 8
        }
        while index < count, isPlain(bytes[index]) { index &+= 1 }
        return index
    }

    @inline(__always)
    static func isPlain(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\") }
}

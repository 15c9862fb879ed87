// What reading and writing JSON have in common (RFC 8259 §7): which bytes of a string stand for themselves.

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

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

    /// The string of bytes; nil if they are not UTF-8.
    ///
    /// The way that repairs what is none takes a quarter of the time of the one that refuses it, which asks for types at run time; what was
    /// repaired has other bytes.
    @inline(__always)
    static func string(_ bytes: UnsafeBufferPointer<UInt8>) -> String? {
        var text = String(decoding: bytes, as: UTF8.self)
        return text.withUTF8({ isSame($0, bytes) }) ? text : nil
    }

    @inline(__always)
    private static func isSame(_ left: UnsafeBufferPointer<UInt8>, _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        guard left.count == right.count, let leftStart = left.baseAddress, let rightStart = right.baseAddress else {
            return left.count == right.count
        }
        return memcmp(leftStart, rightStart, left.count) == 0
    }
}

// MessagePack from bytes into values: the specification at github.com/msgpack/msgpack, and what the package notepack.io, which the
// JavaScript parser uses, makes of its extensions.
//
// Nothing is allocated by what a header declares: an array of four thousand million elements is refused when there are not as many bytes.
// Recursion is bounded by a limit on depth.
//
// - Unsigned numbers beyond 64 bits with a sign are doubles. Names of members are strings, or whole numbers, which JavaScript makes
//   strings.
// - A timestamp (extension -1; extension 0 of 8 bytes from older encoders) is the text of the date, as it would be in JSON.
// - Extension 0 otherwise is an older encoder's `ArrayBuffer`, bytes; of one byte in the fixed form it is `undefined`, null. Extension 1
//   is an older encoder's `BigInt`, its digits as text.
// - Any other extension is an array of its number and its bytes, as with notepack.io.

import NIOCore

/// Bytes that are not MessagePack, or deeper than allowed.
struct MessagePackError: Error, Hashable {
    enum Reason: String {
        case endsEarly = "it ends before the value does"
        case unusedCode = "0xC1 is never used"
        case invalidUTF8 = "a string is not UTF-8"
        case badName = "the name of a member is neither a string nor a whole number"
        case badTimestamp = "a timestamp that is none"
        case trailingBytes = "something follows the value"
        case tooDeep = "arrays and maps stand too deep in each other"
    }

    let reason: Reason
    /// Where, in bytes from the begin.
    let offset: Int
}

/// Reads one MessagePack value.
struct MessagePackReader {
    private var buffer: ByteBuffer
    private let start: Int
    private let maxDepth: Int

    /// Reads the value that the buffer holds, and nothing else.
    static func read(_ buffer: ByteBuffer, maxDepth: Int) throws(MessagePackError) -> SocketIOValue {
        var reader = MessagePackReader(buffer: buffer, start: buffer.readerIndex, maxDepth: maxDepth)
        let value = try reader.value(depth: 0)
        if reader.buffer.readableBytes > 0 { throw reader.error(.trailingBytes) }
        return value
    }

    private func error(_ reason: MessagePackError.Reason) -> MessagePackError {
        MessagePackError(reason: reason, offset: buffer.readerIndex - start)
    }

    private mutating func value(depth: Int) throws(MessagePackError) -> SocketIOValue {
        let code = try integer(UInt8.self)
        switch code {
        case 0x00...0x7F: return .int(Int(code))
        case 0x80...0x8F: return try map(Int(code & 0x0F), depth)
        case 0x90...0x9F: return try array(Int(code & 0x0F), depth)
        case 0xA0...0xBF: return .string(try string(Int(code & 0x1F)))
        case 0xC0: return .null
        case 0xC2: return .bool(false)
        case 0xC3: return .bool(true)
        case 0xC4...0xC6: return .binary(try bytes(try length(code - 0xC4)))
        case 0xC7...0xC9: return try anyExtension(length: try length(code - 0xC7), isFixed: false)
        case 0xD4...0xD8: return try anyExtension(length: 1 << Int(code - 0xD4), isFixed: true)
        case 0xD9...0xDB: return .string(try string(try length(code - 0xD9)))
        case 0xDC, 0xDD: return try array(try length(code - 0xDB), depth)
        case 0xDE, 0xDF: return try map(try length(code - 0xDD), depth)
        case 0xE0...0xFF: return .int(Int(Int8(bitPattern: code)))
        default: return try number(code)
        }
    }

    // MARK: Numbers

    private mutating func number(_ code: UInt8) throws(MessagePackError) -> SocketIOValue {
        switch code {
        case 0xCA: return .double(Double(Float(bitPattern: try integer(UInt32.self))))
        case 0xCB: return .double(Double(bitPattern: try integer(UInt64.self)))
        case 0xCC: return .int(Int(try integer(UInt8.self)))
        case 0xCD: return .int(Int(try integer(UInt16.self)))
        case 0xCE: return .int(Int(try integer(UInt32.self)))
        case 0xCF:
            let number = try integer(UInt64.self)
            return Int(exactly: number).map { .int($0) } ?? .double(Double(number))
        case 0xD0: return .int(Int(try integer(Int8.self)))
        case 0xD1: return .int(Int(try integer(Int16.self)))
        case 0xD2: return .int(Int(try integer(Int32.self)))
        case 0xD3: return .int(Int(try integer(Int64.self)))
        default: throw error(.unusedCode)
        }
    }

    private mutating func integer<T: FixedWidthInteger>(_ type: T.Type) throws(MessagePackError) -> T {
        guard let value = buffer.readInteger(as: type) else { throw error(.endsEarly) }
        return value
    }

    /// Takes a length of 1, 2 or 4 bytes.
    private mutating func length(_ size: UInt8) throws(MessagePackError) -> Int {
        switch size {
        case 0: Int(try integer(UInt8.self))
        case 1: Int(try integer(UInt16.self))
        default: Int(try integer(UInt32.self))
        }
    }

    // MARK: Text and bytes

    private mutating func bytes(_ count: Int) throws(MessagePackError) -> ByteBuffer {
        guard let bytes = buffer.readSlice(length: count) else { throw error(.endsEarly) }
        return bytes
    }

    private mutating func string(_ count: Int) throws(MessagePackError) -> String {
        guard count <= buffer.readableBytes else { throw error(.endsEarly) }
        let text = buffer.withUnsafeReadableBytes { String(validating: $0.prefix(count), as: UTF8.self) }
        guard let text else { throw error(.invalidUTF8) }
        buffer.moveReaderIndex(forwardBy: count)
        return text
    }

    // MARK: Arrays and maps

    /// Elements have one byte at least, members two.
    private func enter(_ depth: Int, leastBytes: Int) throws(MessagePackError) {
        if depth == maxDepth { throw error(.tooDeep) }
        if leastBytes > buffer.readableBytes { throw error(.endsEarly) }
    }

    private mutating func array(_ count: Int, _ depth: Int) throws(MessagePackError) -> SocketIOValue {
        try enter(depth, leastBytes: count)
        var elements: [SocketIOValue] = []
        if count <= 16 { elements.reserveCapacity(count) }
        for _ in 0..<count { elements.append(try value(depth: depth + 1)) }
        return .array(elements)
    }

    private mutating func map(_ count: Int, _ depth: Int) throws(MessagePackError) -> SocketIOValue {
        try enter(depth, leastBytes: 2 * count)
        var members = SocketIOObject()
        for _ in 0..<count {
            let name = try name(depth)
            members.set(name, try value(depth: depth + 1))
        }
        return .object(members)
    }

    private mutating func name(_ depth: Int) throws(MessagePackError) -> String {
        switch try value(depth: depth + 1) {
        case .string(let name): return name
        case .int(let number): return String(number)
        default: throw error(.badName)
        }
    }

    // MARK: Extensions

    private mutating func anyExtension(length: Int, isFixed: Bool) throws(MessagePackError) -> SocketIOValue {
        let type = try integer(Int8.self)
        switch (type, length) {
        case (-1, _): return try timestamp(length)
        case (0, 1) where isFixed:
            _ = try bytes(1)
            return .null
        case (0, 8) where isFixed:
            let milliseconds = Int(try integer(Int64.self))
            return try date(seconds: 0, milliseconds: milliseconds)
        case (0, _): return .binary(try bytes(length))
        case (1, _): return .string(try string(length))
        default: return .array([.int(Int(type)), .binary(try bytes(length))])
        }
    }

    /// Takes a timestamp of 32 bits, of 30 bits of nanoseconds and 34 of seconds, or of 32 and 64 (the specification, "Timestamp
    /// extension type").
    private mutating func timestamp(_ length: Int) throws(MessagePackError) -> SocketIOValue {
        switch length {
        case 4:
            let seconds = Int(try integer(UInt32.self))
            return try date(seconds: seconds, milliseconds: 0)
        case 8:
            let both = try integer(UInt64.self)
            return try date(seconds: Int(both & 0x3_FFFF_FFFF), nanoseconds: Int(both >> 34))
        case 12:
            let nanoseconds = Int(try integer(UInt32.self))
            let seconds = Int(try integer(Int64.self))
            return try date(seconds: seconds, nanoseconds: nanoseconds)
        default: throw error(.badTimestamp)
        }
    }

    private func date(seconds: Int, nanoseconds: Int) throws(MessagePackError) -> SocketIOValue {
        // "nanoseconds must not be larger than 999999999".
        guard nanoseconds < 1_000_000_000 else { throw error(.badTimestamp) }
        return try date(seconds: seconds, milliseconds: nanoseconds / 1_000_000)
    }

    private func date(seconds: Int, milliseconds: Int) throws(MessagePackError) -> SocketIOValue {
        let limit = JavaScriptDate.maxMilliseconds
        guard abs(seconds.clamped(to: limit)) <= limit / 1000, abs(milliseconds.clamped(to: limit + 1)) <= limit else {
            throw error(.badTimestamp)
        }
        return .string(JavaScriptDate.text(ofMilliseconds: seconds * 1000 + milliseconds))
    }
}

extension Int {
    /// The number, drawn to ± the limit; its magnitude can then be taken, also of `Int.min`.
    fileprivate func clamped(to limit: Int) -> Int { Swift.max(-limit, Swift.min(limit, self)) }
}

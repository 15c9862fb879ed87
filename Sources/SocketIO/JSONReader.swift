// JSON from bytes straight into values: RFC 8259.
//
// Not Foundation's, since this is on the way of every event: it makes no objects in between, allocates nothing but the values' own
// memory, keeps the order of members and tells 1 from 1.0, and has a limit on depth. Recursion is bounded by that limit, so that no input
// overflows a stack.
//
// Stricter than JavaScript nowhere; where a text means something that Swift does not have:
// - An escaped surrogate without its other half (`\ud800`), which `JSON.stringify` writes for half an emoji, becomes U+FFFD, as
//   `String.prototype.toWellFormed` does. A user may cut a text anywhere; that is no reason to end the connection.
// - Bytes that are not UTF-8 are refused: no JavaScript sends them, and WebSocket refuses them before.
// - `-0` is the double -0.0; whole numbers beyond 64 bits are doubles; `1e999` is infinite.

/// Reads one JSON text.
struct JSONReader {
    private let base: UnsafePointer<UInt8>
    private let count: Int
    private let maxDepth: Int
    private var position = 0
    private var depth = 0

    private init(_ base: UnsafePointer<UInt8>, _ count: Int, maxDepth: Int) {
        self.base = base
        self.count = count
        self.maxDepth = maxDepth
    }

    /// Reads the value that the bytes hold, with nothing but white space around it.
    static func read(_ bytes: UnsafeRawBufferPointer, maxDepth: Int) throws(JSONError) -> SocketIOValue {
        guard let base = bytes.baseAddress else { throw JSONError(reason: .endsEarly, offset: 0) }
        var reader = JSONReader(base.assumingMemoryBound(to: UInt8.self), bytes.count, maxDepth: maxDepth)
        let value = try reader.value()
        reader.skipSpace()
        if reader.position < reader.count { throw reader.error(.trailingBytes) }
        return value
    }

    private func error(_ reason: JSONError.Reason) -> JSONError { JSONError(reason: reason, offset: position) }

    // MARK: Structure

    private mutating func value() throws(JSONError) -> SocketIOValue {
        switch try nextByte() {
        case UInt8(ascii: "["): try array()
        case UInt8(ascii: "{"): try object()
        case let byte: try scalar(byte)
        }
    }

    /// A function of its own, so that what it keeps on the stack is not there once for each level.
    private mutating func scalar(_ first: UInt8) throws(JSONError) -> SocketIOValue {
        switch first {
        case UInt8(ascii: "\""): .string(try string())
        case UInt8(ascii: "t"): try literal("true", .bool(true))
        case UInt8(ascii: "f"): try literal("false", .bool(false))
        case UInt8(ascii: "n"): try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try JSONNumber.read(base, count, &position)
        default: throw error(.unexpectedCharacter)
        }
    }

    /// The next byte that is no white space; it is not taken.
    @inline(__always)
    private mutating func nextByte() throws(JSONError) -> UInt8 {
        if position < count, base[position] > 0x20 { return base[position] }
        skipSpace()
        guard position < count else { throw error(.endsEarly) }
        return base[position]
    }

    private mutating func skipSpace() {
        while position < count, isSpace(base[position]) { position &+= 1 }
    }

    private func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
    }

    private mutating func enter() throws(JSONError) {
        if depth == maxDepth { throw error(.tooDeep) }
        depth &+= 1
        position &+= 1
    }

    private mutating func array() throws(JSONError) -> SocketIOValue {
        try enter()
        var elements: [SocketIOValue] = []
        // The outermost array is an event's, of a name and a few arguments.
        if depth == 1 { elements.reserveCapacity(4) }
        if try nextByte() != UInt8(ascii: "]") {
            repeat { elements.append(try value()) } while try goesOn(until: UInt8(ascii: "]"))
        }
        position &+= 1
        depth &-= 1
        return .array(elements)
    }

    private mutating func object() throws(JSONError) -> SocketIOValue {
        try enter()
        var members = SocketIOObject()
        if try nextByte() != UInt8(ascii: "}") {
            repeat {
                guard try nextByte() == UInt8(ascii: "\"") else { throw error(.unexpectedCharacter) }
                let name = try string()
                guard try nextByte() == UInt8(ascii: ":") else { throw error(.unexpectedCharacter) }
                position &+= 1
                members.set(name, try value())
            } while try goesOn(until: UInt8(ascii: "}"))
        }
        position &+= 1
        depth &-= 1
        return .object(members)
    }

    /// Takes a comma; or finds the end, which is not taken.
    @inline(__always)
    private mutating func goesOn(until end: UInt8) throws(JSONError) -> Bool {
        let byte = try nextByte()
        if byte == end { return false }
        guard byte == UInt8(ascii: ",") else { throw error(.unexpectedCharacter) }
        position &+= 1
        return true
    }

    private mutating func literal(_ word: StaticString, _ value: SocketIOValue) throws(JSONError) -> SocketIOValue {
        let length = word.utf8CodeUnitCount
        for index in 0..<length {
            guard position + index < count else { throw JSONError(reason: .endsEarly, offset: count) }
            guard base[position + index] == word.utf8Start[index] else { throw error(.badLiteral) }
        }
        position += length
        return value
    }

    // MARK: Strings

    /// Takes a string, whose quotation mark is next.
    private mutating func string() throws(JSONError) -> String {
        let start = position &+ 1
        let length = JSONText.plainLength(base + start, count &- start)
        let end = start &+ length
        guard end < count, base[end] == UInt8(ascii: "\"") else { return try stringWithEscapes(start, plainLength: length) }
        let text = try makeText(UnsafeBufferPointer(start: base + start, count: length))
        position = end &+ 1
        return text
    }

    @inline(__always)
    private func makeText(_ bytes: UnsafeBufferPointer<UInt8>) throws(JSONError) -> String {
        guard let text = JSONText.string(bytes) else { throw error(.invalidUTF8) }
        return text
    }

    /// Takes a string that an escape, or what may not stand in one, interrupts.
    private mutating func stringWithEscapes(_ start: Int, plainLength: Int) throws(JSONError) -> String {
        var decoded = Array(UnsafeBufferPointer(start: base + start, count: plainLength))
        position = start + plainLength
        while true {
            guard position < count else { throw error(.endsEarly) }
            switch base[position] {
            case UInt8(ascii: "\""):
                let text = try decoded.withUnsafeBufferPointer { (bytes) throws(JSONError) in try makeText(bytes) }
                position += 1
                return text
            case UInt8(ascii: "\\"): try escape(into: &decoded)
            case 0..<0x20: throw error(.controlCharacter)
            default:
                let length = JSONText.plainLength(base + position, count - position)
                decoded.append(contentsOf: UnsafeBufferPointer(start: base + position, count: length))
                position += length
            }
        }
    }

    private mutating func escape(into decoded: inout [UInt8]) throws(JSONError) {
        guard position + 1 < count else { throw JSONError(reason: .endsEarly, offset: count) }
        let character: UInt8
        switch base[position + 1] {
        case UInt8(ascii: "u"): return try unicodeEscape(into: &decoded)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): character = base[position + 1]
        case UInt8(ascii: "n"): character = 0x0A
        case UInt8(ascii: "t"): character = 0x09
        case UInt8(ascii: "r"): character = 0x0D
        case UInt8(ascii: "b"): character = 0x08
        case UInt8(ascii: "f"): character = 0x0C
        default: throw error(.badEscape)
        }
        decoded.append(character)
        position += 2
    }

    /// Takes `\uXXXX`, and a second one if both make one character (RFC 8259 §7).
    private mutating func unicodeEscape(into decoded: inout [UInt8]) throws(JSONError) {
        let unit = try codeUnit(at: position)
        position += 6
        var scalar = Unicode.Scalar(unit)
        if UTF16.isLeadSurrogate(unit), position + 1 < count, base[position] == UInt8(ascii: "\\"),
            base[position + 1] == UInt8(ascii: "u")
        {
            let second = try codeUnit(at: position)
            if UTF16.isTrailSurrogate(second) {
                scalar = Unicode.Scalar(0x10000 + (UInt32(unit & 0x3FF) << 10 | UInt32(second & 0x3FF)))
                position += 6
            }
        }
        decoded.append(contentsOf: String(scalar ?? "\u{FFFD}").utf8)
    }

    private func codeUnit(at position: Int) throws(JSONError) -> UInt16 {
        guard position + 6 <= count else { throw JSONError(reason: .endsEarly, offset: count) }
        var unit: UInt16 = 0
        for index in position + 2..<position + 6 {
            guard let digit = Self.hexDigit(base[index]) else { throw error(.badEscape) }
            unit = unit << 4 | digit
        }
        return unit
    }

    private static func hexDigit(_ byte: UInt8) -> UInt16? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }
}

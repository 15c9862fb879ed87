// Values to JSON (RFC 8259), as `JSON.stringify` writes them: no white space, only those characters escaped that must be, whole doubles
// without fraction, and null for what is no number.
//
// Binary values are replaced by `{"_placeholder":true,"num":N}`, counted in the order in which they are met, depth first, and kept aside
// (Socket.IO protocol 5, "Packet encoding").
//
// Written is to plain memory, at first the stack's, and from there once into a buffer that is as large as need be: a `ByteBuffer` checks
// its storage at each write, which for an event's few dozen bytes took twice as long as all the rest.

import NIOCore

/// Writes JSON.
struct JSONWriter: ~Copyable {
    private var base: UnsafeMutablePointer<UInt8>
    private var count = 0
    private var capacity: Int
    private var isOnHeap = false
    /// The binary values that were met.
    private(set) var attachments: [ByteBuffer] = []

    /// The bytes on the stack; more than nearly all events have.
    private static let stackBytes = 1024

    private init(_ memory: UnsafeMutableBufferPointer<UInt8>, _ base: UnsafeMutablePointer<UInt8>) {
        self.base = base
        capacity = memory.count
    }

    deinit {
        if isOnHeap { base.deallocate() }
    }

    /// Gives a writer to the body.
    ///
    /// - Returns: what was written, and the binary values that were met.
    static func write(_ body: (inout JSONWriter) -> Void) -> (text: ByteBuffer, attachments: [ByteBuffer]) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: stackBytes) { memory in
            guard let base = memory.baseAddress else { return (ByteBuffer(), []) }
            var writer = JSONWriter(memory, base)
            body(&writer)
            return (ByteBuffer(bytes: UnsafeRawBufferPointer(start: writer.base, count: writer.count)), writer.attachments)
        }
    }

    // MARK: Values

    /// Writes a value.
    mutating func write(_ value: SocketIOValue) {
        switch value {
        case .null: write("null" as StaticString)
        case .bool(let value): write(value)
        case .int(let value): write(value)
        case .double(let value): write(value)
        case .string(let value): write(value)
        case .binary(let value): writePlaceholder(value)
        case .array(let elements): write(elements)
        case .object(let members): write(members)
        }
    }

    /// Writes an array.
    mutating func write(_ elements: [SocketIOValue]) {
        byte(UInt8(ascii: "["))
        var isFirst = true
        for element in elements {
            if !isFirst { byte(UInt8(ascii: ",")) }
            write(element)
            isFirst = false
        }
        byte(UInt8(ascii: "]"))
    }

    /// Writes an object.
    mutating func write(_ members: SocketIOObject) {
        byte(UInt8(ascii: "{"))
        var isFirst = true
        for (name, value) in members {
            if !isFirst { byte(UInt8(ascii: ",")) }
            write(name)
            byte(UInt8(ascii: ":"))
            write(value)
            isFirst = false
        }
        byte(UInt8(ascii: "}"))
    }

    private mutating func writePlaceholder(_ value: ByteBuffer) {
        write(#"{"_placeholder":true,"num":"# as StaticString)
        write(attachments.count)
        byte(UInt8(ascii: "}"))
        attachments.append(value)
    }

    /// Writes `true` or `false`.
    mutating func write(_ value: Bool) { write(value ? "true" : "false" as StaticString) }

    // MARK: Numbers

    /// Writes a whole number.
    mutating func write(_ value: Int) {
        // 20 bytes hold any number of 64 bits, with its sign.
        reserve(20)
        if value < 0 { put(UInt8(ascii: "-")) }
        var rest = value.magnitude
        var length = 1
        while rest >= 10 {
            rest /= 10
            length &+= 1
        }
        rest = value.magnitude
        for index in stride(from: count &+ length &- 1, through: count, by: -1) {
            base[index] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        count &+= length
    }

    /// Writes a number.
    mutating func write(_ value: Double) { write(plain: Self.text(of: value)) }

    /// A number as JavaScript writes it, or nearly: 3.0 is `3`, and what is no number or infinite is `null`.
    static func text(of value: Double) -> String {
        guard value.isFinite else { return "null" }
        // Up to here doubles hold every whole number, and JavaScript writes them without an exponent.
        if abs(value) < 0x1p53, let whole = Int(exactly: value) { return String(whole) }
        return value.description
    }

    // MARK: Strings

    /// Writes a string.
    @inline(__always)
    mutating func write(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            let plain = bytes.baseAddress.map { JSONText.plainLength($0, bytes.count) } ?? 0
            guard plain == bytes.count else { return writeEscaped(bytes) }
            reserve(plain + 2)
            put(UInt8(ascii: "\""))
            put(bytes)
            put(UInt8(ascii: "\""))
        }
    }

    private mutating func writeEscaped(_ bytes: UnsafeBufferPointer<UInt8>) {
        byte(UInt8(ascii: "\""))
        var rest = bytes[...]
        while !rest.isEmpty {
            let run = UnsafeBufferPointer(rebasing: rest)
            let plain = run.baseAddress.map { JSONText.plainLength($0, run.count) } ?? 0
            reserve(plain)
            put(UnsafeBufferPointer(rebasing: run[..<plain]))
            rest = rest.dropFirst(plain)
            if let byte = rest.popFirst() { writeEscape(of: byte) }
        }
        byte(UInt8(ascii: "\""))
    }

    private mutating func writeEscape(of character: UInt8) {
        switch character {
        case UInt8(ascii: "\""): write("\\\"" as StaticString)
        case UInt8(ascii: "\\"): write("\\\\" as StaticString)
        case 0x08: write("\\b" as StaticString)
        case 0x09: write("\\t" as StaticString)
        case 0x0A: write("\\n" as StaticString)
        case 0x0C: write("\\f" as StaticString)
        case 0x0D: write("\\r" as StaticString)
        default:
            write(character < 0x10 ? "\\u000" : "\\u001" as StaticString)
            let digit = character & 0x0F
            byte((digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10) + digit)
        }
    }

    // MARK: Bytes

    /// Writes one byte as it is.
    @inline(__always)
    mutating func byte(_ byte: UInt8) {
        reserve(1)
        put(byte)
    }

    /// Writes a text as it is: no string of JSON.
    mutating func write(plain text: String) {
        var text = text
        text.withUTF8 { bytes in
            reserve(bytes.count)
            put(bytes)
        }
    }

    private mutating func write(_ text: StaticString) {
        reserve(text.utf8CodeUnitCount)
        put(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Makes room for more bytes. `put` writes only where this has made it.
    @inline(__always)
    private mutating func reserve(_ more: Int) {
        if capacity &- count < more { grow(more) }
    }

    @inline(never)
    private mutating func grow(_ more: Int) {
        let capacity = max(2 * self.capacity, count + more)
        let base = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        base.update(from: self.base, count: count)
        if isOnHeap { self.base.deallocate() }
        (self.base, self.capacity, isOnHeap) = (base, capacity, true)
    }

    @inline(__always)
    private mutating func put(_ byte: UInt8) {
        base[count] = byte
        count &+= 1
    }

    @inline(__always)
    private mutating func put(_ bytes: UnsafeBufferPointer<UInt8>) {
        guard let start = bytes.baseAddress else { return }
        (base + count).update(from: start, count: bytes.count)
        count &+= bytes.count
    }
}

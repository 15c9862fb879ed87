// Values to JSON (RFC 8259), as `JSON.stringify` writes them: no white space, only those characters escaped that must be, whole doubles without
// fraction, and null for what is no number.
//
// Binary values are replaced by `{"_placeholder":true,"num":N}`, counted in the order in which they are met, depth first, and kept aside
// (Socket.IO protocol 5, "Packet encoding").

import NIOCore

/// Writes JSON to the end of a buffer.
struct JSONWriter {
    private(set) var buffer: ByteBuffer
    /// The binary values that were met.
    private(set) var attachments: [ByteBuffer] = []

    /// Makes a writer that goes on behind what the buffer holds.
    init(_ buffer: ByteBuffer) { self.buffer = buffer }

    /// Writes a value.
    mutating func write(_ value: SocketIOValue) {
        switch value {
        case .null: buffer.writeStaticString("null")
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
        var separator = UInt8(ascii: "[")
        if elements.isEmpty { byte(separator) }
        for element in elements {
            if case .string(let text) = element {
                write(text, after: separator)
            } else {
                byte(separator)
                write(element)
            }
            separator = UInt8(ascii: ",")
        }
        byte(UInt8(ascii: "]"))
    }

    /// Writes an object.
    mutating func write(_ members: SocketIOObject) {
        var separator = UInt8(ascii: "{")
        if members.isEmpty { byte(separator) }
        for (name, value) in members {
            write(name, after: separator)
            byte(UInt8(ascii: ":"))
            write(value)
            separator = UInt8(ascii: ",")
        }
        byte(UInt8(ascii: "}"))
    }

    private mutating func writePlaceholder(_ value: ByteBuffer) {
        buffer.writeStaticString(#"{"_placeholder":true,"num":"#)
        write(attachments.count)
        byte(UInt8(ascii: "}"))
        attachments.append(value)
    }

    @inline(__always)
    mutating func byte(_ byte: UInt8) { buffer.writeInteger(byte) }

    /// Writes a namespace of the packet that the JSON belongs to, and the comma that ends it.
    mutating func write(namespace: String) {
        buffer.writeString(namespace)
        byte(UInt8(ascii: ","))
    }

    /// Writes `true` or `false`.
    mutating func write(_ value: Bool) { buffer.writeStaticString(value ? "true" : "false") }

    // MARK: Numbers

    /// Writes a whole number.
    mutating func write(_ value: Int) {
        if value >= 0 && value < 10 { return byte(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: value)) }
        // 20 bytes hold any number of 64 bits, with its sign.
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 20) { Self.digits(of: value, into: $0) }
    }

    /// Writes the digits to the begin of the bytes; returns how many there are.
    private static func digits(of value: Int, into bytes: UnsafeMutableRawBufferPointer) -> Int {
        var rest = value.magnitude
        var length = value < 0 ? 2 : 1
        while rest >= 10 {
            rest /= 10
            length += 1
        }
        rest = value.magnitude
        for index in stride(from: length - 1, through: value < 0 ? 1 : 0, by: -1) {
            bytes[index] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
        if value < 0 { bytes[0] = UInt8(ascii: "-") }
        return length
    }

    /// Writes a number.
    mutating func write(_ value: Double) { buffer.writeString(Self.text(of: value)) }

    /// A number as JavaScript writes it, or nearly: 3.0 is `3`, and what is no number or infinite is `null`.
    static func text(of value: Double) -> String {
        guard value.isFinite else { return "null" }
        // Up to here doubles hold every whole number, and JavaScript writes them without an exponent.
        if abs(value) < 0x1p53, let whole = Int(exactly: value) { return String(whole) }
        return value.description
    }

    // MARK: Strings

    /// Writes a string.
    mutating func write(_ text: String) { write(text, after: nil) }

    /// Writes a string, and a byte before it if there is one: together, as each write to the buffer has its price.
    @inline(__always)
    private mutating func write(_ text: String, after separator: UInt8?) {
        var text = text
        text.withUTF8 { bytes in
            guard let start = bytes.baseAddress, bytes.count > 0 else { return writeEmpty(after: separator) }
            let plain = JSONText.plainLength(start, bytes.count)
            guard plain == bytes.count else { return writeEscaped(bytes, after: separator) }
            buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: plain + 3) { target in
                var index = 0
                if let separator {
                    target[0] = separator
                    index = 1
                }
                target[index] = UInt8(ascii: "\"")
                // Both ends are checked: the target has room for `plain` and three more.
                UnsafeMutableRawBufferPointer(rebasing: target[(index + 1)...]).copyMemory(from: UnsafeRawBufferPointer(bytes))
                target[index + 1 + plain] = UInt8(ascii: "\"")
                return index + 2 + plain
            }
        }
    }

    private mutating func writeEmpty(after separator: UInt8?) {
        if let separator { byte(separator) }
        buffer.writeStaticString("\"\"")
    }

    private mutating func writeEscaped(_ bytes: UnsafeBufferPointer<UInt8>, after separator: UInt8?) {
        if let separator { byte(separator) }
        byte(UInt8(ascii: "\""))
        var rest = bytes[...]
        while !rest.isEmpty {
            let run = UnsafeBufferPointer(rebasing: rest)
            let plain = run.baseAddress.map { JSONText.plainLength($0, run.count) } ?? 0
            buffer.writeBytes(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(run)[..<plain]))
            rest = rest.dropFirst(plain)
            if let byte = rest.popFirst() { writeEscape(of: byte) }
        }
        byte(UInt8(ascii: "\""))
    }

    private mutating func writeEscape(of character: UInt8) {
        switch character {
        case UInt8(ascii: "\""): buffer.writeStaticString("\\\"")
        case UInt8(ascii: "\\"): buffer.writeStaticString("\\\\")
        case 0x08: buffer.writeStaticString("\\b")
        case 0x09: buffer.writeStaticString("\\t")
        case 0x0A: buffer.writeStaticString("\\n")
        case 0x0C: buffer.writeStaticString("\\f")
        case 0x0D: buffer.writeStaticString("\\r")
        default:
            buffer.writeStaticString(character < 0x10 ? "\\u000" : "\\u001")
            byte(UInt8(ascii: character & 0x0F < 10 ? "0" : "W") + (character & 0x0F))
        }
    }
}

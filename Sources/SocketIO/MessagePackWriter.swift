// Values to MessagePack: the specification at github.com/msgpack/msgpack. Everything in the smallest form, as the specification's
// "Serialization: type to format conversion" asks for.

import NIOCore

/// Writes MessagePack to the end of a buffer.
struct MessagePackWriter {
    private(set) var buffer: ByteBuffer

    /// Makes a writer that goes on behind what the buffer holds.
    init(_ buffer: ByteBuffer) { self.buffer = buffer }

    /// Writes a value.
    mutating func write(_ value: SocketIOValue) {
        switch value {
        case .null: code(0xC0)
        case .bool(let value): code(value ? 0xC3 : 0xC2)
        case .int(let value): write(value)
        case .double(let value):
            code(0xCB)
            buffer.writeInteger(value.bitPattern)
        case .string(let value): write(value)
        case .binary(let value): write(value)
        case .array(let elements):
            writeHeader(elements.count, fixed: 0x90, upTo: 15, codes: (nil, 0xDC, 0xDD))
            for element in elements { write(element) }
        case .object(let members):
            writeMapHeader(count: members.count)
            for (name, value) in members {
                write(name)
                write(value)
            }
        }
    }

    /// Writes what begins a map; its names and values follow.
    mutating func writeMapHeader(count: Int) { writeHeader(count, fixed: 0x80, upTo: 15, codes: (nil, 0xDE, 0xDF)) }

    /// Writes a whole number.
    mutating func write(_ value: Int) {
        switch value {
        case -32...127: buffer.writeInteger(Int8(value))
        case 0...0xFF: number(0xCC, UInt8(value))
        case 0...0xFFFF: number(0xCD, UInt16(value))
        case 0...0xFFFF_FFFF: number(0xCE, UInt32(value))
        case 0...: number(0xCF, UInt64(value))
        case (-0x80)...: number(0xD0, Int8(value))
        case (-0x8000)...: number(0xD1, Int16(value))
        case (-0x8000_0000)...: number(0xD2, Int32(value))
        default: number(0xD3, Int64(value))
        }
    }

    /// Writes a string.
    mutating func write(_ text: String) {
        writeHeader(text.utf8.count, fixed: 0xA0, upTo: 31, codes: (0xD9, 0xDA, 0xDB))
        buffer.writeString(text)
    }

    private mutating func write(_ bytes: ByteBuffer) {
        writeHeader(bytes.readableBytes, fixed: 0, upTo: -1, codes: (0xC4, 0xC5, 0xC6))
        buffer.writeImmutableBuffer(bytes)
    }

    private mutating func code(_ code: UInt8) { buffer.writeInteger(code) }

    private mutating func number(_ code: UInt8, _ value: some FixedWidthInteger) {
        self.code(code)
        buffer.writeInteger(value)
    }

    /// Writes a length in the smallest form that there is for it; nothing that a `ByteBuffer` can hold needs more than 32 bits.
    private mutating func writeHeader(_ count: Int, fixed: UInt8, upTo most: Int, codes: (UInt8?, UInt8, UInt8)) {
        if count <= most { return code(fixed | UInt8(count)) }
        if let short = codes.0, count <= 0xFF { return number(short, UInt8(count)) }
        if count <= 0xFFFF { number(codes.1, UInt16(count)) } else { number(codes.2, UInt32(truncatingIfNeeded: count)) }
    }
}

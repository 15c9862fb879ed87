// The header of a frame, and its bytes: RFC 6455 §5.2.
//
//      0                   1                   2                   3
//      0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//     |F|R|R|R| opcode|M| Payload len |    Extended payload length    |
//     |I|S|S|S|  (4)  |A|     (7)     |   (16 if 126, 64 if 127)      |
//     |N|V|V|V|       |S|             |                               |

/// The header of a frame (RFC 6455 §5.2).
public struct FrameHeader: Sendable, Hashable {
    /// The most bytes that a header takes: two, eight of length, four of mask.
    public static let maxEncodedLength = 14

    // The largest first, as each connection holds one.

    /// The payload's length in bytes.
    public var payloadLength: Int
    /// The mask as its four bytes lie in memory; nil on frames from a server.
    public var maskKey: UInt32?
    /// Whether this is the message's last frame.
    public var isFinal: Bool
    /// The first reserved bit: permessage-deflate's "compressed" (RFC 7692 §6).
    public var isCompressed: Bool
    /// The kind of frame.
    public var opcode: Opcode

    /// Makes a header.
    @inlinable public init(
        opcode: Opcode, payloadLength: Int, isFinal: Bool = true, isCompressed: Bool = false, maskKey: UInt32? = nil
    ) {
        self.isFinal = isFinal
        self.isCompressed = isCompressed
        self.opcode = opcode
        self.maskKey = maskKey
        self.payloadLength = payloadLength
    }

    /// The bytes that the header takes.
    @inlinable public var encodedLength: Int {
        2 + (payloadLength < 126 ? 0 : payloadLength < 65536 ? 2 : 8) + (maskKey == nil ? 0 : 4)
    }

    /// The header's two bytes as they lie in memory, if it has no more: it has no mask, and the payload is of under 126 bytes.
    @inlinable package var shortForm: UInt16? {
        guard maskKey == nil, payloadLength < 126 else { return nil }
        let first: UInt8 = (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode.rawValue
        return (UInt16(first) << 8 | UInt16(truncatingIfNeeded: payloadLength)).bigEndian
    }

    /// Writes the header, in the fewest bytes that hold its length (RFC 6455 §5.2: "the minimal number of bytes MUST be used").
    ///
    /// - Parameter bytes: at least `encodedLength` bytes.
    /// - Returns: how many bytes were written.
    @inlinable @discardableResult public func encode(into bytes: UnsafeMutableRawBufferPointer) -> Int {
        precondition(bytes.count >= encodedLength, "the room for a frame header is smaller than the header")
        bytes[0] = (isFinal ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode.rawValue
        let maskBit: UInt8 = maskKey == nil ? 0 : 0x80
        var end = 2
        if payloadLength < 126 {
            bytes[1] = maskBit | UInt8(truncatingIfNeeded: payloadLength)
        } else if payloadLength < 65536 {
            bytes[1] = maskBit | 126
            bytes.storeBytes(of: UInt16(truncatingIfNeeded: payloadLength).bigEndian, toByteOffset: 2, as: UInt16.self)
            end = 4
        } else {
            bytes[1] = maskBit | 127
            bytes.storeBytes(of: UInt64(payloadLength).bigEndian, toByteOffset: 2, as: UInt64.self)
            end = 10
        }
        if let maskKey {
            bytes.storeBytes(of: maskKey, toByteOffset: end, as: UInt32.self)
            end += 4
        }
        return end
    }
}

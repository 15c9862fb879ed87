// The key exchange of the opening handshake (RFC 6455 §4.1, §4.2.2).
//
// It is no secret and proves nothing about who answers. It proves that the server speaks WebSocket, so that a browser
// cannot be led to talk frames to something else. Randomness is an argument, as everywhere in this module.

import Crypto

/// `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` (RFC 6455 §4.1, §4.2.2).
public enum AcceptKey {
    /// Makes a client's `Sec-WebSocket-Key` from sixteen random bytes.
    ///
    /// > RFC 6455 §4.1: The nonce MUST be selected randomly for each connection.
    public static func clientKey(random bytes: SIMD16<UInt8>) -> String {
        base64(bytes.indices.map { bytes[$0] })
    }

    /// Whether a `Sec-WebSocket-Key` is the base64 of exactly sixteen bytes, padded, with its unused bits zero.
    ///
    /// > RFC 6455 §4.2.1: A |Sec-WebSocket-Key| header field with a base64-encoded value that, when decoded, is 16 bytes in
    /// > length.
    ///
    /// Unused bits that are not zero decode to sixteen bytes as well; no encoder makes them, and they are refused.
    public static func isValid(_ key: String) -> Bool {
        // 128 bits are 21 digits of six bits, one digit whose upper two bits count, and two padding signs.
        let bytes = Array(key.utf8)
        guard bytes.count == 24, bytes[22] == UInt8(ascii: "="), bytes[23] == UInt8(ascii: "=") else { return false }
        return bytes[..<21].allSatisfy(isDigit) && "AQgw".utf8.contains(bytes[21])
    }

    /// Answers a key with the `Sec-WebSocket-Accept` that belongs to it.
    ///
    /// > RFC 6455 §4.2.2: concatenating this value with the string "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", taking the SHA-1
    /// > hash of this concatenated value to obtain a 20-byte value and base64-encoding this 20-byte hash.
    public static func accept(for key: String) -> String {
        var hash = Insecure.SHA1()
        hash.update(data: Array(key.utf8))
        hash.update(data: Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8))
        return base64(Array(hash.finalize()))
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "+"), UInt8(ascii: "/"): true
        default: false
        }
    }

    /// The base64 alphabet (RFC 4648 §4).
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    package static func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for place in 0..<4 {
                text.append(place <= group.count ? digits[bits >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

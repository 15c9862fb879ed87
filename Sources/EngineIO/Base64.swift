// Base64, as binary packets have it on long-polling: RFC 4648 §4, and §5 for session ids.
//
// Decoding is strict: the standard alphabet, padded, nothing else in between, and no bits left over. One sequence of bytes has one form.

package import NIOCore

package enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let urlAlphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    private static let padding = UInt8(ascii: "=")
    /// What no byte of the alphabet stands for.
    private static let none: UInt8 = 0xFF
    private static let values = inverse(alphabet)
    private static let urlValues = inverse(urlAlphabet)

    private static func inverse(_ alphabet: [UInt8]) -> [UInt8] {
        var values = [UInt8](repeating: none, count: 256)
        for (value, byte) in alphabet.enumerated() { values[Int(byte)] = UInt8(value) }
        return values
    }

    // MARK: Payloads

    static func encodedLength(_ count: Int) -> Int { (count + 2) / 3 * 4 }

    package static func encode(_ payload: ByteBuffer, into bytes: inout ByteBuffer) {
        let length = encodedLength(payload.readableBytes)
        bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: length) { output in
            payload.withUnsafeReadableBytes { input in
                alphabet.withUnsafeBufferPointer { encode(input, to: output, $0) }
            }
            return length
        }
    }

    private static func encode(
        _ input: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer, _ alphabet: UnsafeBufferPointer<UInt8>
    ) {
        var position = 0
        var index = 0
        while index < input.count {
            let rest = input.count - index
            let (second, third) = (rest > 1 ? input[index + 1] : 0, rest > 2 ? input[index + 2] : 0)
            let bits = UInt32(input[index]) << 16 | UInt32(second) << 8 | UInt32(third)
            output[position] = alphabet[Int(bits >> 18)]
            output[position + 1] = alphabet[Int(bits >> 12 & 63)]
            output[position + 2] = rest > 1 ? alphabet[Int(bits >> 6 & 63)] : padding
            output[position + 3] = rest > 2 ? alphabet[Int(bits & 63)] : padding
            index += 3
            position += 4
        }
    }

    /// The bytes that the text stands for; nil if it is not base64.
    package static func decode(_ text: ByteBuffer) -> ByteBuffer? {
        text.withUnsafeReadableBytes { input in
            guard !input.isEmpty else { return ByteBuffer() }
            guard input.count % 4 == 0 else { return nil }
            let padded = input[input.count - 1] != padding ? 0 : input[input.count - 2] != padding ? 1 : 2
            var bytes = ByteBufferAllocator().buffer(capacity: input.count / 4 * 3)
            let written = bytes.writeWithUnsafeMutableBytes(minimumWritableBytes: input.count / 4 * 3) { output in
                values.withUnsafeBufferPointer { decode(input, padded, to: output, $0) } ?? 0
            }
            return written == input.count / 4 * 3 - padded ? bytes : nil
        }
    }

    /// - Returns: how many bytes it was; nil for what is not base64.
    private static func decode(
        _ input: UnsafeRawBufferPointer, _ padded: Int, to output: UnsafeMutableRawBufferPointer, _ values: UnsafeBufferPointer<UInt8>
    ) -> Int? {
        var position = 0
        for start in stride(from: 0, to: input.count, by: 4) {
            let missing = start + 4 == input.count ? padded : 0
            let (a, b) = (values[Int(input[start])], values[Int(input[start + 1])])
            let c = missing > 1 ? 0 : values[Int(input[start + 2])]
            let d = missing > 0 ? 0 : values[Int(input[start + 3])]
            // A value has six bits, and what stands for none has all eight.
            guard a | b | c | d < 64 else { return nil }
            let bits = UInt32(a) << 18 | UInt32(b) << 12 | UInt32(c) << 6 | UInt32(d)
            // §3.5: the bits that are left over are zero.
            guard missing == 0 || bits & (missing == 1 ? 0xFF : 0xFFFF) == 0 else { return nil }
            output[position] = UInt8(truncatingIfNeeded: bits >> 16)
            if missing < 2 { output[position + 1] = UInt8(truncatingIfNeeded: bits >> 8) }
            if missing < 1 { output[position + 2] = UInt8(truncatingIfNeeded: bits) }
            position += 3 - missing
        }
        return position
    }

    // MARK: Numbers of up to 60 bits, for session ids

    /// So many characters of the URL's alphabet, ten at most.
    static func urlText(_ number: UInt64, count: Int = 10) -> [UInt8] {
        (1...count).map { urlAlphabet[Int(number >> (6 * UInt64(count - $0)) & 63)] }
    }

    /// The number that so many characters of the URL's alphabet, ten at most, stand for; nil if they are none.
    static func urlNumber(_ text: some Collection<UInt8>, count: Int = 10) -> UInt64? {
        guard text.count == count else { return nil }
        var number: UInt64 = 0
        for byte in text {
            let value = urlValues[Int(byte)]
            guard value != none else { return nil }
            number = number << 6 | UInt64(value)
        }
        return number
    }
}

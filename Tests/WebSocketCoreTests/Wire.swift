// Bytes as tests write them: frames in hexadecimal, unmasked as a server sends them, and the same as a client would.

import WebSocketCore

/// Bytes from hexadecimal digits; spaces do not count.
func hex(_ text: String) -> [UInt8] {
    var bytes: [UInt8] = []
    var high: UInt8?
    for digit in text where digit != " " {
        guard let value = digit.hexDigitValue.map(UInt8.init) else { preconditionFailure("not hexadecimal: \(text)") }
        if let first = high.take() { bytes.append(first << 4 | value) } else { high = value }
    }
    precondition(high == nil, "half a byte: \(text)")
    return bytes
}

/// One frame as it must look to the end that gets it: as it is for a client; for a server with the mask bit and this key.
///
/// The frame may break rules, and may end early: whatever follows its length is taken for payload.
func frame(_ unmasked: [UInt8], to role: Role, key: [UInt8] = [0, 0, 0, 0]) -> [UInt8] {
    guard role == .server, unmasked.count >= 2 else { return unmasked }
    let lengthBytes = unmasked[1] == 126 ? 2 : unmasked[1] == 127 ? 8 : 0
    guard unmasked.count >= 2 + lengthBytes else { return [unmasked[0], unmasked[1] | 0x80] + unmasked[2...] }
    let payload = unmasked[(2 + lengthBytes)...].enumerated().map { $1 ^ key[$0 % 4] }
    return [unmasked[0], unmasked[1] | 0x80] + unmasked[2..<2 + lengthBytes] + key + payload
}

/// Frames in hexadecimal, one after the other, as they must look to the end that gets them.
func frames(_ frames: [String], to role: Role, key: [UInt8] = [0, 0, 0, 0]) -> [UInt8] {
    frames.flatMap { frame(hex($0), to: role, key: key) }
}

/// A frame with a payload of any length, unmasked.
func plainFrame(_ first: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let length = payload.count
    let bytes = (0..<8).map { UInt8(truncatingIfNeeded: length >> (56 - 8 * $0)) }
    return [first] + (length < 126 ? [UInt8(length)] : length < 65536 ? [126] + bytes[6...] : [127] + bytes) + payload
}

extension Recording.Entry {
    static func text(_ text: String) -> Self { .message(.text, Array(text.utf8), isCompressed: false) }
    static func binary(_ bytes: [UInt8]) -> Self { .message(.binary, bytes, isCompressed: false) }
}

extension Recording {
    /// The rule that was broken, if one was.
    var brokenRule: ProtocolError.Rule? {
        if case .failure(let error) = entries.last { error.rule } else { nil }
    }
}

extension Scene {
    /// What comes of the bytes when they arrive in one read.
    func record(_ bytes: [UInt8]) -> Recording { record([bytes[...]]) }
}

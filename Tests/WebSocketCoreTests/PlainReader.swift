// What a peer's bytes mean, read in the plainest way there is: all of them at once, by index, with copies. It shares no code with
// `Connection`, `FrameParser` or `MessageAssembler`, and is the oracle that they are compared with (RFC 6455 §5–§7).

@testable import WebSocketCore

struct PlainReader {
    private let scene: Scene
    private let bytes: [UInt8]
    private var position = 0
    private var entries: [Recording.Entry] = []
    private var message: (kind: MessageKind, isCompressed: Bool, payload: [UInt8], frames: Int)?
    private var messages = 0
    private var hasClosed = false
    private var isDone = false

    /// What must come of the bytes for the program: the entries of a recording.
    static func entries(of bytes: [UInt8], _ scene: Scene) -> [Recording.Entry] {
        var reader = PlainReader(scene: scene, bytes: bytes)
        while !reader.isDone { reader.readFrame() }
        return reader.entries
    }

    private init(scene: Scene, bytes: [UInt8]) {
        self.scene = scene
        self.bytes = bytes
    }

    private mutating func fail(_ rule: ProtocolError.Rule) {
        entries.append(.failure(PlainReader.error(rule)))
        isDone = true
    }

    /// An error without a value: the plain reader says which rule, not the number.
    private static func error(_ rule: ProtocolError.Rule) -> ProtocolError { ProtocolError(rule, 0) }

    private mutating func readFrame() {
        let rest = Array(bytes[position...])
        guard let first = rest.first else { return isDone = true }
        if let rule = brokenRule(first) { return fail(rule) }
        guard rest.count >= 2 else { return isDone = true }
        if let rule = brokenRule(first, rest[1]) { return fail(rule) }
        let lengthBytes = rest[1] & 127 == 126 ? 2 : rest[1] & 127 == 127 ? 8 : 0
        guard rest.count >= 2 + lengthBytes else { return isDone = true }
        let digits = rest[2..<2 + lengthBytes]
        let length = lengthBytes == 0 ? UInt64(rest[1] & 127) : digits.reduce(0) { $0 * 256 + UInt64($1) }
        if length > UInt64(Int64.max) { return fail(.negativeLength) }
        if lengthBytes == 2 && length < 126 || lengthBytes == 8 && length < 65536 { return fail(.nonMinimalLength) }
        let start = 2 + lengthBytes + (scene.role == .server ? 4 : 0)
        guard rest.count >= start else { return isDone = true }
        let key = rest[2 + lengthBytes..<start]
        let payload = rest[start...].prefix(Int(clamping: length)).enumerated().map { index, byte in
            key.isEmpty ? byte : byte ^ key[key.startIndex + index % 4]
        }
        position += start + payload.count
        take(first, length, payload)
    }

    private func brokenRule(_ first: UInt8) -> ProtocolError.Rule? {
        let opcode = first % 16
        if ![0, 1, 2, 8, 9, 10].contains(opcode) { return .reservedOpcode }
        let bits = first / 16 % 8
        return bits == 0 || bits == 4 && scene.allowsCompression && [1, 2].contains(opcode) ? nil : .reservedBit
    }

    private func brokenRule(_ first: UInt8, _ second: UInt8) -> ProtocolError.Rule? {
        if scene.role == .server && second < 128 { return .unmaskedFrame }
        if scene.role == .client && second >= 128 { return .maskedFrame }
        guard first % 16 >= 8 else { return nil }
        return first < 128 ? .controlFragmented : second % 128 > 125 ? .controlTooLong : nil
    }

    private mutating func take(_ first: UInt8, _ length: UInt64, _ payload: [UInt8]) {
        let isWhole = UInt64(payload.count) == length
        if first % 16 < 8 {
            takeData(first, length, payload, isWhole)
        } else if isWhole {
            takeControl(first % 16, payload)
        } else {
            isDone = true
        }
    }

    private mutating func takeData(_ first: UInt8, _ length: UInt64, _ payload: [UInt8], _ isWhole: Bool) {
        let opcode = first % 16
        if opcode == 0 && message == nil { return fail(.unexpectedContinuation) }
        if opcode != 0 && message != nil { return fail(.unfinishedMessage) }
        var current = message ?? (opcode == 1 ? .text : .binary, first / 64 % 2 == 1, [], 0)
        current.frames += 1
        if current.frames > scene.limits.maxFragments { return fail(.tooManyFragments) }
        if length > UInt64(scene.limits.maxFrameSize) {
            return fail(scene.limits.maxFrameSize < scene.limits.maxMessageSize ? .frameTooBig : .messageTooBig)
        }
        if UInt64(current.payload.count) + length > UInt64(scene.limits.maxMessageSize) { return fail(.messageTooBig) }
        current.payload += payload
        let isEnd = isWhole && first >= 128
        if current.kind == .text && !current.isCompressed && !Self.isText(current.payload, whole: isEnd) { return fail(.invalidUTF8) }
        message = isEnd ? nil : current
        if isEnd && !hasClosed { deliver(current.kind, current.payload, current.isCompressed) }
        if !isWhole { isDone = true }
    }

    private mutating func deliver(_ kind: MessageKind, _ payload: [UInt8], _ isCompressed: Bool) {
        entries.append(.message(kind, payload, isCompressed: isCompressed))
        messages += 1
        hasClosed = messages == scene.closesAfter
    }

    private mutating func takeControl(_ opcode: UInt8, _ payload: [UInt8]) {
        switch opcode {
        case 9: if !hasClosed { entries.append(.ping(payload)) }
        case 10: entries.append(.pong(payload))
        default: takeClose(payload)
        }
    }

    private mutating func takeClose(_ payload: [UInt8]) {
        if payload.count == 1 { return fail(.truncatedCloseCode) }
        if payload.count >= 2 {
            let code = Int(payload[0]) * 256 + Int(payload[1])
            let mayBeSent = (1000...1014).contains(code) && ![1004, 1005, 1006].contains(code) || (3000...4999).contains(code)
            if !mayBeSent { return fail(.invalidCloseCode) }
            if !Self.isText(Array(payload[2...]), whole: true) { return fail(.invalidUTF8) }
        }
        entries.append(.close(beganByPeer: !hasClosed))
        isDone = true
    }

    /// Whether bytes are UTF-8, or can become UTF-8 by up to three further bytes, as the standard library sees it.
    private static func isText(_ bytes: [UInt8], whole: Bool) -> Bool {
        if String(validating: bytes, as: UTF8.self) != nil { return true }
        let endings: [[UInt8]] = [[0x80], [0xBF], [0x80, 0x80], [0xBF, 0x80], [0x80, 0x80, 0x80], [0xBF, 0x80, 0x80]]
        return !whole && endings.contains { String(validating: bytes + $0, as: UTF8.self) != nil }
    }
}

extension Recording {
    /// The entries without the numbers in failures, as the plain reader gives them.
    var plainEntries: [Entry] {
        entries.map { if case .failure(let error) = $0 { .failure(ProtocolError(error.rule, 0)) } else { $0 } }
    }
}

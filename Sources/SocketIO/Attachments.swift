// Bytes among the values of a packet, and the placeholders that stand for them in its text: Socket.IO protocol 5, "Packet encoding".
//
// A placeholder is an object with the member `_placeholder: true` and the attachment's number, `num`. In packets without attachments such
// an object is data like any other.

import NIOCore

enum Attachments {
    private static let mark = "_placeholder"
    private static let number = "num"

    // MARK: To be sent

    /// How many binary values there are.
    ///
    /// - Throws: `SocketIOUsageError` if values are nested deeper than `SocketIOParserLimits.deepest`.
    static func count(in values: [SocketIOValue], depth: Int = 1) throws(SocketIOUsageError) -> Int {
        if depth > SocketIOParserLimits.deepest { throw SocketIOUsageError(.tooDeep) }
        var count = 0
        for value in values { count += try Self.count(in: value, depth: depth) }
        return count
    }

    @inline(__always)
    private static func count(in value: SocketIOValue, depth: Int) throws(SocketIOUsageError) -> Int {
        switch value {
        case .binary: 1
        case .array(let elements): try count(in: elements, depth: depth + 1)
        case .object(let members): try count(in: members, depth: depth + 1)
        default: 0
        }
    }

    private static func count(in members: SocketIOObject, depth: Int) throws(SocketIOUsageError) -> Int {
        if depth > SocketIOParserLimits.deepest { throw SocketIOUsageError(.tooDeep) }
        var count = 0
        for (_, value) in members { count += try Self.count(in: value, depth: depth) }
        return count
    }

    /// Whether data looks like a placeholder: a stranger may have sent it to be passed on, and who gets it would put an attachment there,
    /// or find none and close the connection.
    static func holdLookalike(_ values: some Sequence<SocketIOValue>) -> Bool {
        values.contains { value in
            switch value {
            case .array(let elements): holdLookalike(elements)
            case .object(let members): members[mark] == .bool(true) || holdLookalike(members.values)
            default: false
            }
        }
    }

    // MARK: Received

    /// Checks that the placeholders are one for each attachment: none out of range, none twice, none missing.
    static func check(_ values: [SocketIOValue], count: Int, at offset: Int) throws(SocketIOParseError) {
        var isUsed = Array(repeating: false, count: count)
        try check(values, &isUsed, at: offset)
        if let missing = isUsed.firstIndex(of: false) {
            throw SocketIOParseError(.invalidPlaceholder, at: offset, "none for attachment \(missing) of \(count)")
        }
    }

    private static func check(_ values: [SocketIOValue], _ isUsed: inout [Bool], at offset: Int) throws(SocketIOParseError) {
        for value in values {
            switch value {
            case .array(let elements): try check(elements, &isUsed, at: offset)
            case .object(let members):
                guard members[mark] == .bool(true) else {
                    try check(members.values, &isUsed, at: offset)
                    continue
                }
                guard let number = members[number]?.int else {
                    throw SocketIOParseError(.invalidPlaceholder, at: offset, "num is no whole number")
                }
                guard isUsed.indices.contains(number) else {
                    throw SocketIOParseError(.invalidPlaceholder, at: offset, "num is \(number) of \(isUsed.count)")
                }
                guard !isUsed[number] else { throw SocketIOParseError(.invalidPlaceholder, at: offset, "num is \(number) twice") }
                isUsed[number] = true
            default: continue
            }
        }
    }

    /// Puts the attachments in the places of their placeholders, which were checked.
    static func fill(_ values: inout [SocketIOValue], with attachments: [ByteBuffer]) {
        for index in values.indices { fill(&values[index], with: attachments) }
    }

    private static func fill(_ value: inout SocketIOValue, with attachments: [ByteBuffer]) {
        switch value {
        case .array(var elements):
            // What is changed must have one owner, or it is copied.
            value = .null
            fill(&elements, with: attachments)
            value = .array(elements)
        case .object(var members):
            if members[mark] == .bool(true), let number = members[number]?.int, attachments.indices.contains(number) {
                value = .binary(attachments[number])
                return
            }
            value = .null
            members.forEachValue { fill(&$0, with: attachments) }
            value = .object(members)
        default: return
        }
    }
}

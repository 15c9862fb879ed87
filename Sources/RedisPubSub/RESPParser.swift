// Reads RESP2 and RESP3 as the bytes come, in pieces of any size.
//
//   line ── a scalar ─────────────► value
//   line ── a string's length ────► bytes ── all there ──► value
//   line ── an array's length ────► as many values, each in the same way
//
// A value goes into the array that waits for it, and is handed out when there is none. Nothing is reserved for what is only announced, and
// what is announced counts against the limit at once. Attributes of RESP3 are read and dropped.

import NIOCore

/// Reads values from a stream of bytes.
struct RESPParser {
    private enum Kind { case array, map, push, attribute }

    /// An array, map or push that is not complete.
    private struct Open {
        let kind: Kind
        var missing: Int
        var values: [RESPValue] = []
    }

    private let limits: RESPLimits
    private var buffer = ByteBuffer()
    private var open: [Open] = []
    /// The length of the string that is being read, if one is.
    private var stringLength: Int?
    /// How many bytes of the next line were looked through.
    private var scanned = 0
    /// What the reply takes so far.
    private var size = 0

    /// Makes a parser at the begin of a stream.
    init(limits: RESPLimits = RESPLimits()) { self.limits = limits }

    /// Takes bytes as they come.
    mutating func append(_ bytes: ByteBuffer) {
        guard buffer.readableBytes > 0 else {
            buffer = bytes
            return
        }
        if buffer.readerIndex > 65_536 { buffer.discardReadBytes() }
        buffer.writeImmutableBuffer(bytes)
    }

    /// The next value that is complete; nil if there is none yet.
    ///
    /// - Throws: `RESPError`; the parser is of no use after that.
    mutating func next() throws(RESPError) -> RESPValue? {
        while let value = try element() {
            if let complete = close(value) {
                size = 0
                return complete
            }
        }
        return nil
    }

    /// The next value that is no part of others that are still missing: a scalar, or an empty array.
    private mutating func element() throws(RESPError) -> RESPValue? {
        while true {
            if let length = stringLength {
                guard let bytes = try string(length) else { return nil }
                return bytes
            }
            guard let line = try line() else { return nil }
            try count(RESPLimits.elementSize)
            if let value = try begin(line) { return value }
        }
    }

    // MARK: Lines

    /// The type and the rest of a line, once its end is there.
    private mutating func line() throws(RESPError) -> ByteBuffer? {
        let view = buffer.readableBytesView
        guard let end = view.dropFirst(scanned).firstIndex(of: UInt8(ascii: "\n")) else {
            scanned = view.count
            guard scanned <= limits.maxLineLength else { throw RESPError(.lineTooLong) }
            return nil
        }
        let length = end - view.startIndex
        guard length <= limits.maxLineLength else { throw RESPError(.lineTooLong) }
        scanned = 0
        guard length >= 2, view[end - 1] == UInt8(ascii: "\r"), let line = buffer.readSlice(length: length - 1) else {
            throw RESPError(.badEnd)
        }
        buffer.moveReaderIndex(forwardBy: 2)
        return line
    }

    /// Reads what a line says; nil if more belongs to it.
    private mutating func begin(_ line: ByteBuffer) throws(RESPError) -> RESPValue? {
        var rest = line
        guard let type = rest.readInteger(as: UInt8.self) else { throw RESPError(.badEnd) }
        switch type {
        case UInt8(ascii: "+"): return .simple(try Self.text(rest))
        case UInt8(ascii: "-"): return .error(try Self.text(rest))
        case UInt8(ascii: ":"): return .integer(try Self.integer(rest))
        case UInt8(ascii: "_"): return try Self.empty(rest)
        case UInt8(ascii: "#"): return try Self.boolean(rest)
        case UInt8(ascii: ","): return try Self.double(rest)
        case UInt8(ascii: "("): return .bigNumber(try Self.digits(rest))
        case UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "="): return try beginString(type, rest)
        case UInt8(ascii: "*"), UInt8(ascii: "~"): return try beginArray(.array, rest, by: 1)
        case UInt8(ascii: ">"): return try beginArray(.push, rest, by: 1)
        case UInt8(ascii: "%"): return try beginArray(.map, rest, by: 2)
        case UInt8(ascii: "|"): return try beginArray(.attribute, rest, by: 2)
        default: throw RESPError(.unknownType)
        }
    }

    // MARK: Strings

    /// Whether the string that is being read is an error.
    private var isError = false

    private mutating func beginString(_ type: UInt8, _ rest: ByteBuffer) throws(RESPError) -> RESPValue? {
        guard let length = try Self.length(rest) else {
            guard type == UInt8(ascii: "$") else { throw RESPError(.badNumber) }
            return .null
        }
        try count(length)
        stringLength = length
        isError = type == UInt8(ascii: "!")
        return nil
    }

    private mutating func string(_ length: Int) throws(RESPError) -> RESPValue? {
        guard buffer.readableBytes >= length + 2 else { return nil }
        stringLength = nil
        guard let bytes = buffer.readSlice(length: length), buffer.readInteger(as: UInt16.self) == 0x0D0A else { throw RESPError(.badEnd) }
        return isError ? .error(try Self.text(bytes)) : .bulk(bytes)
    }

    // MARK: Arrays

    private mutating func beginArray(_ kind: Kind, _ rest: ByteBuffer, by values: Int) throws(RESPError) -> RESPValue? {
        guard let length = try Self.length(rest) else {
            guard kind == .array else { throw RESPError(.badNumber) }
            return .null
        }
        guard open.count < limits.maxDepth else { throw RESPError(.tooDeep) }
        guard length <= limits.maxReplySize / (values * RESPLimits.elementSize) else { throw RESPError(.tooLarge) }
        // Only what is announced: each value counts itself when it comes.
        guard size + length * values * RESPLimits.elementSize <= limits.maxReplySize else { throw RESPError(.tooLarge) }
        open.append(Open(kind: kind, missing: length * values))
        return length == 0 ? closeLast() : nil
    }

    /// Puts a value into the array that waits for it, and each array that is complete by that into the one around it.
    ///
    /// - Returns: the value that is in no array.
    private mutating func close(_ value: RESPValue) -> RESPValue? {
        var value: RESPValue? = value
        while let complete = value {
            guard !open.isEmpty else { return complete }
            open[open.count - 1].values.append(complete)
            open[open.count - 1].missing -= 1
            guard open[open.count - 1].missing == 0 else { return nil }
            value = closeLast()
        }
        return nil
    }

    /// The innermost array, which is complete; nil for attributes, which are no value.
    private mutating func closeLast() -> RESPValue? {
        guard let last = open.popLast() else { return nil }
        switch last.kind {
        case .array: return .array(last.values)
        case .map: return .map(last.values)
        case .push: return .push(last.values)
        case .attribute: return nil
        }
    }

    private mutating func count(_ bytes: Int) throws(RESPError) {
        guard bytes <= limits.maxReplySize - size else { throw RESPError(.tooLarge) }
        size += bytes
    }
}

// MARK: What stands on a line

extension RESPParser {
    private static func text(_ bytes: ByteBuffer) throws(RESPError) -> String {
        guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else { throw RESPError(.badText) }
        return text
    }

    /// A whole number; without a text of it, as every value has one in its head.
    private static func integer(_ bytes: ByteBuffer) throws(RESPError) -> Int {
        var digits = bytes.readableBytesView[...]
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative || digits.first == UInt8(ascii: "+") { digits = digits.dropFirst() }
        guard !digits.isEmpty else { throw RESPError(.badNumber) }
        // Towards the negative, which has one number more.
        var number = 0
        for byte in digits {
            guard UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte else { throw RESPError(.badNumber) }
            let (tens, overflow) = number.multipliedReportingOverflow(by: 10)
            let (next, overflowToo) = tens.subtractingReportingOverflow(Int(byte - UInt8(ascii: "0")))
            guard !overflow, !overflowToo else { throw RESPError(.badNumber) }
            number = next
        }
        guard isNegative || number != .min else { throw RESPError(.badNumber) }
        return isNegative ? number : -number
    }

    /// A whole number as it was written: a sign perhaps, and digits.
    private static func digits(_ bytes: ByteBuffer) throws(RESPError) -> String {
        let text = try text(bytes)
        let digits =
            text.utf8.first.map { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") } == true ? text.utf8.dropFirst() : text.utf8[...]
        guard !digits.isEmpty, digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else { throw RESPError(.badNumber) }
        return text
    }

    /// A length; nil for -1, RESP2's null.
    private static func length(_ bytes: ByteBuffer) throws(RESPError) -> Int? {
        if bytes.readableBytes == 1, bytes.readableBytesView.first == UInt8(ascii: "?") { throw RESPError(.streamed) }
        let length = try integer(bytes)
        guard length >= -1 else { throw RESPError(.badNumber) }
        return length < 0 ? nil : length
    }

    private static func empty(_ bytes: ByteBuffer) throws(RESPError) -> RESPValue {
        guard bytes.readableBytes == 0 else { throw RESPError(.badNumber) }
        return .null
    }

    private static func boolean(_ bytes: ByteBuffer) throws(RESPError) -> RESPValue {
        switch try text(bytes) {
        case "t": return .boolean(true)
        case "f": return .boolean(false)
        default: throw RESPError(.badNumber)
        }
    }

    private static func double(_ bytes: ByteBuffer) throws(RESPError) -> RESPValue {
        let text = try text(bytes)
        // What Swift reads beyond that, such as hexadecimal digits, Redis does not write.
        let characters = Set("0123456789+-.eEinfa".utf8)
        guard text.utf8.allSatisfy(characters.contains), let number = Double(text) else { throw RESPError(.badNumber) }
        return .double(number)
    }
}

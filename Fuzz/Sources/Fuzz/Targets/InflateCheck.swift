// Decompression and compression of messages (RFC 7692 §7.2): nothing exceeds the limit, whatever the bytes; what comes out depends
// neither on how much memory there is at a time nor, after a reset, on what came before; and what was compressed is given back.

import WebSocketCore
import WebSocketDeflate

enum InflateCheck {
    /// The input: a byte of choices, one for the limit, one for the memory, the sizes of the messages, and their bytes.
    static func run(_ input: inout FuzzInput) throws(Finding) {
        let choices = input.byte()
        let wished = Int(input.byte()) * (choices & 2 == 0 ? 1 : 257)
        let scratch = Int(input.byte()) + 1
        // A message is given out in at most so many parts: with a byte of memory and a limit of 64 KiB, an execution took 65,535 rounds a message.
        let limit = min(wished, scratch * 256)
        let sizes = input.sizes()
        let messages = input.bytes().pieces(of: sizes).map(Array.init)
        let resets = choices & 1 != 0
        try checkLimit(messages, limit: limit, scratch: scratch, windowBits: 8 + Int(choices >> 5), resets: resets)
        try checkTwins(messages, limit: limit, scratch: scratch, resets: resets)
        try checkRoundTrip(messages, windowBits: 8 + Int(choices >> 5), level: 1 + Int(choices >> 2 & 7), resets: resets)
    }

    // MARK: Arbitrary bytes

    /// What came out of a message, or why nothing did.
    private typealias Outcome = Result<[UInt8], ProtocolError>

    private static func checkLimit(
        _ messages: [[UInt8]], limit: Int, scratch: Int, windowBits: Int, resets: Bool
    ) throws(Finding) {
        let inflater = try made(Inflater(windowBits: windowBits))
        for message in messages {
            if resets { inflater.reset() }
            if case .failure = try outcome(of: message, inflater, limit: limit, scratch: scratch) { inflater.reset() }
        }
    }

    /// A second decompressor with other memory gives the same, and so does a new one where nothing may be left of the message before.
    ///
    /// With the largest window only: of a reference that goes too far back, zlib sees less where more of its output is in one place.
    private static func checkTwins(_ messages: [[UInt8]], limit: Int, scratch: Int, resets: Bool) throws(Finding) {
        let (first, second) = (try made(Inflater(windowBits: 15)), try made(Inflater(windowBits: 15)))
        for message in messages {
            if resets { first.reset() }
            let result = try outcome(of: message, first, limit: limit, scratch: scratch)
            let twin = resets ? try made(Inflater(windowBits: 15)) : second
            guard try outcome(of: message, twin, limit: limit, scratch: 70_000) == result else {
                throw Finding("\(message) is not the same with \(scratch) bytes of memory\(resets ? ", or after a reset" : "")")
            }
            if case .failure = result {
                first.reset()
                second.reset()
            }
        }
    }

    private static func outcome(of message: [UInt8], _ inflater: Inflater, limit: Int, scratch: Int) throws(Finding) -> Outcome {
        var output: [UInt8] = []
        var largest = 0
        let result = inflate(message, inflater, limit: limit, scratch: scratch) { part in
            largest = max(largest, part.count)
            output += part
        }
        guard output.count <= limit else { throw Finding("\(output.count) bytes came out, over the limit of \(limit)") }
        guard largest <= scratch else { throw Finding("\(largest) bytes were said to be in \(scratch)") }
        guard let error = result else { return .success(output) }
        guard [.messageTooBig, .invalidDeflate].contains(error.rule) else { throw Finding("failed with \(error)") }
        return .failure(error)
    }

    /// Buffers exactly as large as they must be: a sanitizer then sees any access beyond them.
    private static func inflate(
        _ message: [UInt8], _ inflater: Inflater, limit: Int, scratch: Int, _ take: (UnsafeRawBufferPointer) -> Void
    ) -> ProtocolError? {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: scratch, alignment: 1)
        defer { room.deallocate() }
        let input = UnsafeMutableRawBufferPointer.allocate(byteCount: message.count, alignment: 1)
        defer { input.deallocate() }
        input.copyBytes(from: message)
        do throws(ProtocolError) {
            try inflater.inflate(UnsafeRawBufferPointer(input), limit: limit, scratch: room, take)
            return nil
        } catch {
            return error
        }
    }

    // MARK: Both ends

    private static func checkRoundTrip(_ messages: [[UInt8]], windowBits: Int, level: Int, resets: Bool) throws(Finding) {
        let deflater = try made(Deflater(level: level, windowBits: windowBits, memoryLevel: level))
        let inflater = try made(Inflater(windowBits: windowBits))
        // An empty message is not compressed.
        for message in messages where !message.isEmpty {
            if resets {
                deflater.reset()
                inflater.reset()
            }
            let compressed = try deflate(message, deflater)
            guard try outcome(of: compressed, inflater, limit: message.count, scratch: 100) == .success(message) else {
                throw Finding("\(message) became \(compressed), which is not read as that")
            }
            if resets { try checkOneTooMany(compressed, message.count, inflater) }
        }
    }

    private static func checkOneTooMany(_ compressed: [UInt8], _ count: Int, _ inflater: Inflater) throws(Finding) {
        inflater.reset()
        guard case .failure(let error) = try outcome(of: compressed, inflater, limit: count - 1, scratch: 100), error.rule == .messageTooBig
        else { throw Finding("\(compressed) of \(count) bytes passes a limit of \(count - 1)") }
    }

    private static func deflate(_ message: [UInt8], _ deflater: Deflater) throws(Finding) -> [UInt8] {
        guard let bound = deflater.bound(message.count) else { throw Finding("\(message.count) bytes are too many") }
        let output = UnsafeMutableRawBufferPointer.allocate(byteCount: bound, alignment: 1)
        defer { output.deallocate() }
        guard let count = message.withUnsafeBytes({ deflater.deflate($0, into: output) }) else {
            throw Finding("\(message) was not compressed")
        }
        guard count > 0, count <= bound else { throw Finding("\(count) bytes, where \(bound) is the most") }
        return Array(output[..<count])
    }

    private static func made<T>(_ codec: T?) throws(Finding) -> T {
        guard let codec else { throw Finding("no memory") }
        return codec
    }
}

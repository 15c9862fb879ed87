// Socket.IO: any text, any bytes and any messages are judged, what was read is written and read again to the same, and what a decoder
// lets through, an encoder may send.

import NIOCore
import WebSocketCore
import WebSockets

@testable import SocketIO

enum SocketIOCheck {
    // MARK: JSON

    /// The input: a JSON text.
    static func runJSON(_ input: inout FuzzInput) throws(Finding) {
        guard let value = json(input.bytes()) else { return }
        let text = JSONWriter.write { $0.write(value) }.text
        guard let again = json(Array(buffer: text)) else { throw Finding("wrote what it can not read: \(String(buffer: text))") }
        // Not the values: a number beyond doubles is read as infinite, and written as null.
        let twice = JSONWriter.write { $0.write(again) }.text
        if twice != text { throw Finding("\(String(buffer: text)) became \(String(buffer: twice))") }
    }

    private static func json(_ bytes: [UInt8]) -> SocketIOValue? {
        // Exactly as many bytes as there are, so that a read beyond them is seen.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        return try? JSONReader.read(UnsafeRawBufferPointer(copy), maxDepth: 128)
    }

    // MARK: MessagePack

    /// The input: a byte that says whether a value follows or a packet, and the MessagePack.
    static func runMessagePack(_ input: inout FuzzInput) throws(Finding) {
        if input.byte() & 1 != 0 { return try check([.binary(ByteBuffer(bytes: input.bytes()))], SocketIOMessagePackParser()) }
        guard let value = try? MessagePackReader.read(ByteBuffer(bytes: input.bytes()), maxDepth: 128) else { return }
        let bytes = messagePack(value)
        guard let again = try? MessagePackReader.read(bytes, maxDepth: 128) else { throw Finding("wrote what it can not read: \(bytes)") }
        // Not the values: no number that is none equals itself.
        if messagePack(again) != bytes { throw Finding("\(bytes) became \(messagePack(again))") }
    }

    private static func messagePack(_ value: SocketIOValue) -> ByteBuffer {
        var writer = MessagePackWriter(ByteBuffer())
        writer.write(value)
        return writer.buffer
    }

    // MARK: Packets

    /// The input: a byte of choices, then messages, one a line; a line that begins with `b` is binary.
    static func runPackets(_ input: inout FuzzInput) throws(Finding) {
        let limits =
            input.byte() & 1 == 0
            ? SocketIOParserLimits() : SocketIOParserLimits(maxAttachments: 2, maxDepth: 3, maxNamespaceLength: 8)
        let lines = input.bytes().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let messages: [Message] = lines.map { line in
            line.first == UInt8(ascii: "b") ? .binary(line.dropFirst()) : .text(String(decoding: line, as: UTF8.self))
        }
        try check(messages, SocketIOJSONParser(limits: limits))
    }

    private static func check(_ messages: [Message], _ parser: some SocketIOParser) throws(Finding) {
        var decoder = parser.makeDecoder()
        for message in messages {
            let packet: SocketIOPacket?
            do throws(SocketIOParseError) {
                packet = try decoder.add(message)
            } catch {
                // The connection would be closed.
                return
            }
            if let packet { try checkEncoding(packet, parser) }
        }
    }

    private static func checkEncoding(_ packet: SocketIOPacket, _ parser: some SocketIOParser) throws(Finding) {
        guard let messages = try encode(packet, parser) else { return }
        var decoder = parser.makeDecoder()
        var decoded: SocketIOPacket?
        for message in messages {
            if decoded != nil { throw Finding("\(packet) is read before its end") }
            do throws(SocketIOParseError) {
                decoded = try decoder.add(message)
            } catch {
                throw Finding("\(packet) can not be read: \(error)")
            }
        }
        guard let decoded else { throw Finding("\(packet) has no end") }
        guard try encode(decoded, parser) == messages else { throw Finding("\(packet) became \(decoded)") }
    }

    /// The packet's messages; nil for what is received and can not be sent: data that looks like a placeholder, beside bytes.
    private static func encode(_ packet: SocketIOPacket, _ parser: some SocketIOParser) throws(Finding) -> SocketIOMessages? {
        do throws(SocketIOUsageError) {
            return try parser.encode(packet)
        } catch {
            guard error.rule == .placeholderLookalike else { throw Finding("\(packet) was received and can not be sent: \(error)") }
            return nil
        }
    }
}

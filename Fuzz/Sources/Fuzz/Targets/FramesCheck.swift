// Frames: the parser gives the same for any cut, and a header it took is encoded to the very bytes it was read from, since there
// is only one way to write it (RFC 6455 §5.2: the minimal number of bytes).

@testable import WebSocketCore

enum FramesCheck {
    private struct Frame: Hashable {
        var header: FrameHeader
        var payload: [UInt8] = []
        var isWhole = false
    }

    private struct Outcome: Hashable {
        var frames: [Frame] = []
        var error: ProtocolError?
    }

    /// The input: a byte of choices, sizes to cut by, then what the peer sends.
    static func run(_ input: inout FuzzInput) throws(Finding) {
        let choices = input.byte()
        let role: Role = choices & 1 == 0 ? .server : .client
        let sizes = input.sizes()
        let bytes = input.bytes()
        let whole = try parse([bytes[...]], role, choices & 2 != 0)
        for sizes in [sizes, [1]] where !sizes.isEmpty {
            let cut = try parse(bytes.pieces(of: sizes), role, choices & 2 != 0)
            if cut != whole { throw Finding("cut by \(sizes), \(role): \(cut), not \(whole)") }
        }
        let written = whole.frames.flatMap(encode)
        if !bytes.starts(with: written) { throw Finding("encoded otherwise than read: \(written)") }
        // Without an error only an unfinished header may be left over.
        if whole.error == nil && bytes.count - written.count >= FrameHeader.maxEncodedLength {
            throw Finding("\(bytes.count - written.count) bytes were passed over")
        }
    }

    private static func parse(
        _ pieces: [ArraySlice<UInt8>], _ role: Role, _ allowsCompression: Bool
    ) throws(Finding) -> Outcome {
        var parser = FrameParser(role: role, allowsCompression: allowsCompression)
        var outcome = Outcome()
        for piece in pieces {
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: piece.count, alignment: 1)
            defer { bytes.deallocate() }
            bytes.copyBytes(from: piece)
            var offset = 0
            do throws(ProtocolError) {
                while let chunk = try parser.next(bytes, at: &offset) { take(chunk, UnsafeRawBufferPointer(bytes), &outcome) }
            } catch {
                outcome.error = error
                return outcome
            }
            if offset != bytes.count { throw Finding("nothing more to take, but \(bytes.count - offset) bytes are left") }
        }
        return outcome
    }

    private static func take(_ chunk: FrameChunk, _ bytes: UnsafeRawBufferPointer, _ outcome: inout Outcome) {
        if chunk.isFirst { outcome.frames.append(Frame(header: chunk.header)) }
        let last = outcome.frames.count - 1
        outcome.frames[last].payload += bytes[chunk.payload]
        outcome.frames[last].isWhole = chunk.isLast
    }

    private static func encode(_ frame: Frame) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: frame.header.encodedLength) + frame.payload
        bytes.withUnsafeMutableBytes { bytes in
            let start = frame.header.encode(into: bytes)
            guard let key = frame.header.maskKey else { return }
            Masking.applyScalar(key: key, offset: 0, to: UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
        }
        return bytes
    }
}

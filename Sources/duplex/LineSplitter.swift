// From bytes to lines.

import NIOCore

/// Splits what is read, in pieces of any size, into lines.
///
/// A line ends with a line feed, which does not belong to it; a carriage return before it does, as it may be meant. What follows the last
/// line feed is a line if it is not empty.
struct LineSplitter {
    /// The largest line: 64 MiB, four times what most servers take as a message. Without a limit, a file that has no line feeds
    /// would be read into memory whole.
    static let defaultLimit = 64 << 20

    private var pending = ByteBuffer()
    /// How much of `pending` is known to have no line feed in it, so that a long line is not searched again with each piece.
    private var searched = 0
    private let limit: Int

    init(limit: Int = defaultLimit) { self.limit = limit }

    /// Takes the next piece, and gives the lines that it completed.
    ///
    /// - Throws: `LineTooLong`.
    mutating func append(_ piece: some Collection<UInt8>) throws(LineTooLong) -> [ByteBuffer] {
        pending.writeBytes(piece)
        var lines: [ByteBuffer] = []
        while let line = try next() { lines.append(line) }
        pending.discardReadBytes()
        return lines
    }

    private mutating func next() throws(LineTooLong) -> ByteBuffer? {
        let end = pending.readableBytesView.dropFirst(searched).firstIndex(of: UInt8(ascii: "\n"))
        let length = end.map { $0 - pending.readerIndex } ?? pending.readableBytes
        guard length <= limit else { throw LineTooLong(limit: limit) }
        guard end != nil else {
            searched = length
            return nil
        }
        searched = 0
        // Copied, so that a small line does not keep alive all that was read with it.
        let line = ByteBuffer(bytes: pending.readableBytesView.prefix(length))
        pending.moveReaderIndex(forwardBy: length + 1)
        return line
    }

    /// The end of the input: what it left without a line feed.
    mutating func finish() -> ByteBuffer? {
        defer { pending.clear() }
        return pending.readableBytes > 0 ? pending : nil
    }
}

/// A line of the input is too long to be a message.
struct LineTooLong: Error, Equatable, CustomStringConvertible {
    let limit: Int
    var description: String { "a line of the input is over \(limit) bytes: too long for a message" }
}

// Lines from stdin, read when somebody asks for them.

import NIOCore

/// Reads stdin on a thread of its own, as reading blocks.
///
/// Nothing is read ahead of who asks: a file is read no faster than the connection takes it. A read that waits can not be cancelled;
/// the end of the process ends it.
actor LineReader {
    private var splitter = LineSplitter()
    private var isAtEnd = false
    private let executor = QueueExecutor("duplex.input")
    private static let readSize = 65_536

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// The next lines: as many as one read completed, at least one; nil at the end of the input.
    ///
    /// - Throws: `SystemError`, `LineTooLong`.
    func next() throws -> [ByteBuffer]? {
        while !isAtEnd {
            let piece = try Descriptor.input.readSome(atMost: Self.readSize)
            isAtEnd = piece.isEmpty
            let lines = isAtEnd ? splitter.finish().map { [$0] } ?? [] : try splitter.append(piece)
            if !lines.isEmpty { return lines }
        }
        return nil
    }

    /// Whether more has been typed, or pasted, than was read.
    func hasMore() -> Bool { !isAtEnd && Descriptor.input.isReadable }
}

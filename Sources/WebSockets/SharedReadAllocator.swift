// One buffer for all that a thread reads, instead of one a connection.
//
// A connection that is silent holds no buffer, and the one that is used is always warm in the processor's caches.

import NIOCore

/// Lends NIO the thread's one read buffer.
///
/// NIO asks for a buffer, reads into it and hands it to `NIOTransport`, which returns it to the thread. Whoever keeps a message keeps
/// the buffer, too; the thread then makes itself another one.
struct SharedReadAllocator: RecvByteBufferAllocator {
    let thread: EventThread

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer { thread.takeReadBuffer() }

    /// None: NIO shall not keep buffers of its own.
    func nextBufferSize() -> Int? { nil }

    /// Always true: so NIO does not use the buffer again that it already has, but asks for one.
    func record(actualReadBytes: Int) -> Bool { true }
}

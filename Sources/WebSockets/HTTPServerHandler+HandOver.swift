// From NIO to the reactor: a connection whose handshake is done changes its owner.

import NIOCore

extension HTTPServerHandler {
    /// Gives the connection to a reactor, if the server has any and the system has a descriptor for it; false if not.
    ///
    /// NIO closes its own descriptor; the reactor's is a duplicate of it, so that the connection lives on. What NIO had read already becomes
    /// the WebSocket's first bytes.
    func handOver(_ context: ChannelHandlerContext, _ accepted: AcceptedHandshake) -> Bool {
        #if os(Linux)
        // What NIO has not sent yet would be lost.
        guard let reactors, !meter.isTapped, context.channel.isFlushed, let descriptor = duplicate(context) else { return false }
        var bytes = ByteBuffer()
        while let more = leftOver.next() { bytes.writeImmutableBuffer(more) }
        // Shutting down waits for what is under way, and so is the connection until the reactor has it.
        server.requestBegan()
        state = .closed
        reactors.adopt(descriptor, slot.handOver(), accepted, leftOver: bytes)
        context.close(promise: nil)
        return true
        #else
        return false
        #endif
    }

    #if os(Linux)
    private func duplicate(_ context: ChannelHandlerContext) -> OwnedDescriptor? {
        let number = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { $0 }
        return number.flatMap { $0 }.flatMap { OwnedDescriptor(duplicating: $0) }
    }
    #endif
}

extension Channel {
    /// Whether all that was written has reached the system; called on the channel's thread.
    fileprivate var isFlushed: Bool { (try? syncOptions?.getOption(.bufferedWritableBytes)) == 0 }
}

// Holds back how a connection ends while its pipeline is rebuilt: RFC 6455 §4.2.2, RFC 7692.
//
//   open ── holdInputEnd ──► holding the end of input ── close ──► closed ── open ──► open, and what was held passes
//
// What a peer sent before it ended the connection lies in the HTTP decoder until that is removed, and it passes on its bytes only if it has not
// seen the end. An error that overtook them would have the connection closed before they are messages, or have them arrive where HTTP is expected.

import NIOCore

/// Holds back errors, the end of the peer's side, and the connection's end; and sees whether anything has arrived behind a request.
final class EndGate: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    /// What is held back.
    private enum Ending {
        case failed(any Error)
        case inputClosed
        case inactive
    }

    private enum State {
        case open
        case holdingInputEnd
        case closed
    }

    /// Whether one read is all that has arrived, and it ends with its first empty line: a request without a body, whole and alone.
    private(set) var holdsOneHead = false
    private var hasRead = false
    private var state = State.open
    private var held: [Ending] = []
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        held = []
    }

    /// Holds back the end of the peer's side alone: a peer that has said all may still await the answer.
    func holdInputEnd() { state = .holdingInputEnd }

    /// Holds back every ending.
    func close() { state = .closed }

    /// Passes on what was held back, in order.
    func open() {
        state = .open
        let endings = held
        held = []
        for ending in endings {
            // What passes may remove this handler.
            guard let context else { return }
            pass(ending, context)
        }
    }

    private func pass(_ ending: Ending, _ context: ChannelHandlerContext) {
        switch ending {
        case .failed(let error): context.fireErrorCaught(error)
        case .inputClosed: context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        case .inactive: context.fireChannelInactive()
        }
    }

    // MARK: The channel

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        holdsOneHead = !hasRead && Self.endsWithFirstEmptyLine(unwrapInboundIn(data))
        hasRead = true
        context.fireChannelRead(data)
    }

    private static func endsWithFirstEmptyLine(_ bytes: ByteBuffer) -> Bool {
        bytes.withUnsafeReadableBytes { bytes in
            guard bytes.count >= 4 else { return false }
            // The line feeds tell: one with a carriage return, a line feed and another return before it ends an empty line.
            for index in 3..<bytes.count where bytes[index] == 0x0A {
                if bytes[index - 1] == 0x0D && bytes[index - 2] == 0x0A && bytes[index - 3] == 0x0D { return index == bytes.count - 1 }
            }
            return false
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .closed = state { held.append(.failed(error)) } else { context.fireErrorCaught(error) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .some(.inputClosed) = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
        if case .open = state { context.fireUserInboundEventTriggered(event) } else { held.append(.inputClosed) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if case .closed = state { held.append(.inactive) } else { context.fireChannelInactive() }
    }
}

extension Channel {
    /// Closes both sides of a connection whose peer may end its side alone (`allowRemoteHalfClosure`); called on the channel's thread.
    ///
    /// TLS awaits the peer's close_notify then. Where one side may end alone, NIOSSL takes that for the end of one side, and keeps the connection
    /// until its timeout of 5 seconds.
    func closeForGood() {
        try? syncOptions?.setOption(.allowRemoteHalfClosure, value: false)
        close(promise: nil)
    }
}

// What arrives behind a handshake while the HTTP handlers leave.

import NIOCore
import NIOHTTP1
import Testing

@testable import WebSockets

@Suite struct LeftOverTests {
    @Test func keepsBytesInOrder() {
        var leftOver = LeftOver()
        let taken = [
            leftOver.append(NIOAny(ByteBuffer(string: "a"))), leftOver.append(NIOAny(IOData.byteBuffer(ByteBuffer(string: "b")))),
        ]
        #expect(taken == [true, true])
        let kept = [leftOver.next(), leftOver.next(), leftOver.next()]
        #expect(kept == [ByteBuffer(string: "a"), ByteBuffer(string: "b"), nil])
    }

    @Test func takesNothingElse() {
        var leftOver = LeftOver()
        let taken = [
            leftOver.append(NIOAny(HTTPServerRequestPart.end(nil))),
            leftOver.append(NIOAny(HTTPClientResponsePart.body(ByteBuffer(string: "x")))),
        ]
        let kept = leftOver.next()
        #expect(taken == [false, false] && kept == nil)
    }

    @Test func unwrapsOnlyWhatIsOfTheType() {
        #expect(Parts.part(of: NIOAny(HTTPServerRequestPart.end(nil))) == .end(nil))
        #expect(Parts.part(of: NIOAny(ByteBuffer(string: "x"))) == nil)
        #expect(Parts.part(of: NIOAny(1)) == nil)
    }
}

private final class Parts: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
}

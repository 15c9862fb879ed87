// The defaults are promises: they stand in the README and in the documentation.

import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct ConnectionConfigurationTests {
    @Test func hasTheDefaultsThatTheDocumentationNames() {
        let configuration = ConnectionConfiguration()
        #expect(configuration.limits == Limits(maxMessageSize: 1_048_576, maxFrameSize: 1_048_576, maxFragments: 131_072))
        #expect(configuration.keepalive == .init(interval: .seconds(20), timeout: .seconds(20)))
        #expect(configuration.closeTimeout == .seconds(5))
        #expect(configuration.maxUnreadBytes == 64 * 1024)
        #expect(configuration.sendHighWaterMark == 256 * 1024)
        #expect(configuration.maxSendBuffer == 4 * 1024 * 1024)
    }

    /// Each setting reaches what it sets.
    @Test func theLimitsHold() throws {
        let bench = SocketBench(.init(limits: Limits(maxMessageSize: 10), keepalive: nil))
        bench.receive(.binary([UInt8](repeating: 1, count: 10)))
        bench.receive(Array(WireFrame.binary([UInt8](repeating: 1, count: 11)).encoded(masked: true).prefix(6)))
        #expect(try bench.frames.first.map { Array($0.payload.prefix(2)) } == [0x03, 0xF1])
    }

    @Test func theTimesHold() throws {
        let keepalive = ConnectionConfiguration.Keepalive(interval: .seconds(3), timeout: .seconds(1))
        let silent = SocketBench(.init(keepalive: keepalive))
        silent.advance(by: .seconds(3))
        #expect(try silent.frames.map(\.opcode) == [9])
        silent.advance(by: .seconds(1))
        #expect(silent.transport.isClosed)
        let closing = SocketBench(.init(keepalive: nil, closeTimeout: .milliseconds(10)))
        closing.socket.close()
        closing.advance(by: .milliseconds(10))
        #expect(closing.transport.isClosed)
    }
}

// The defaults, which the documentation promises.

import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct ServerConfigurationTests {
    @Test func hasTheDefaultsOfTheDesign() {
        let configuration = WebSocketServer.Configuration()
        #expect(configuration.handshakeTimeout == .seconds(10))
        #expect(configuration.bodyTimeout == .seconds(20))
        #expect(configuration.responseTimeout == .seconds(30))
        #expect(configuration.minTransferRate == 1000)
        #expect(configuration.keepAliveTimeout == .seconds(65))
        #expect(configuration.drainTimeout == .seconds(30))
        #expect(configuration.maxHeaderFields == 100)
        #expect(configuration.maxHeaderBytes == 16_384)
        #expect(configuration.maxBodyBytes == 1 << 20)
        #expect(configuration.maxConnections == nil)
        #expect(configuration.threads == WebSocketServer.defaultThreads)
        #expect(configuration.allowedOrigins.isEmpty)
        #expect(configuration.connection.limits.maxMessageSize == 1 << 20)
        #expect(configuration.connection.maxUnreadBytes == 65_536)
        #expect(configuration.connection.sendHighWaterMark == 262_144)
        #expect(configuration.connection.maxSendBuffer == 4 << 20)
        #expect(configuration.connection.closeTimeout == .seconds(5))
        #expect(configuration.connection.keepalive?.interval == .seconds(20))
        #expect(configuration.connection.keepalive?.timeout == .seconds(20))
    }
}

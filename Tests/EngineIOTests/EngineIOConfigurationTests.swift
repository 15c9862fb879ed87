// Defaults, and what clients are told of them: EngineIOConfiguration.swift.

import NIOCore
import Testing

@testable import EngineIO

@Suite struct EngineIOConfigurationTests {
    @Test func clientsAreToldNodesDefaults() {
        let configuration = EngineIOConfiguration()
        let packet = configuration.openPacket(sid: "ID", transport: .polling)
        let json = #"{"sid":"ID","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
        #expect(packet == EngineIOPacket(.open, json))
        #expect(String(buffer: configuration.openPacket(sid: "ID", transport: .webSocket).payload).contains(#""upgrades":[]"#))
        #expect(configuration.upgradeTimeout == .seconds(10))
        #expect(configuration.path == "/socket.io/")
        #expect(configuration.cors == nil && configuration.cookie == nil && configuration.allowRequest == nil)
    }

    @Test func anUpgradeIsOnlyOfferedWhereItIsThere() {
        var configuration = EngineIOConfiguration(allowsUpgrades: false)
        #expect(!configuration.offersWebSocket)
        configuration = EngineIOConfiguration(transports: [.polling])
        #expect(!configuration.offersWebSocket)
    }

    @Test func timesAreMilliseconds() {
        #expect(Duration.milliseconds(1500).milliseconds == 1500)
        #expect(Duration.nanoseconds(999_999).milliseconds == 0)
    }
}

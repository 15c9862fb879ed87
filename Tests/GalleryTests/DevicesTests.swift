// Who sees which device, and who is commanded.

import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct DevicesTests {
    @Test func aPatternShowsWhatItTakes() async throws {
        try await serving(Devices()) { url in
            try await WebSocketClient.connect(url + "/devices/a") { socket in
                for (pattern, count) in [("#", 18), ("north/#", 6), ("+/+/temperature", 9), ("harbour/roof/humidity", 1), ("tabs/#", 0)] {
                    try await socket.send("{\"watch\":{\"pattern\":\"\(pattern)\"}}")
                    _ = try await next("watching", from: socket)
                    for _ in 0..<count { _ = try await next("reading", from: socket) }
                }
                for (pattern, reason) in [
                    ("a+", "wildcard beside other text"), ("#/a", "# before its end"), ("", "1 to 100"),
                    (String(repeating: "a", count: 101), "1 to 100"),
                ] {
                    try await socket.send("{\"watch\":{\"pattern\":\"\(pattern)\"}}")
                    try await #expect(next("refused", from: socket).contains(reason))
                }
                for (request, reason) in [
                    ("{\"turn\":{\"device\":\"north/cellar/humidity\",\"isOn\":true}}", "There is no such device."),
                    ("{\"report\":{\"value\":1e300,\"isOn\":true}}", "0 to 100"),
                ] {
                    try await socket.send(request)
                    try await #expect(next("refused", from: socket).contains(reason))
                }
            }
        }
    }

    @Test func aTabIsADeviceThatOthersCommand() async throws {
        try await serving(Devices()) { url in
            try await WebSocketClient.connect(url + "/devices/a") { watcher in
                try await WebSocketClient.connect(url + "/devices/b") { device in
                    try await watcher.send("{\"watch\":{\"pattern\":\"tabs/+/slider\"}}")
                    _ = try await next("watching", from: watcher)
                    try await device.send("{\"report\":{\"value\":12.5,\"isOn\":true}}")
                    let reading = try await next("reading", from: watcher)
                    #expect(reading.contains("slider") && reading.contains("12.5"))
                    try await watcher.send("{\"turn\":{\"device\":\"tabs/b/slider\",\"isOn\":false}}")
                    try await #expect(next("turned", from: device).contains("\"isOn\":false"))
                }
            }
        }
    }

    @Test func whatIsOffSaysSoAndThenNothing() async throws {
        let devices = Devices()
        try await serving(devices) { url in
            try await WebSocketClient.connect(url + "/devices/a") { socket in
                try await socket.send("{\"watch\":{\"pattern\":\"south/hall/humidity\"}}")
                _ = try await next("watching", from: socket)
                try await socket.send("{\"turn\":{\"device\":\"south/hall/humidity\",\"isOn\":false}}")
                while !(try await next("reading", from: socket)).contains("\"isOn\":false") {}
                try await socket.send("{\"turn\":{\"device\":\"south/hall/humidity\",\"isOn\":true}}")
                try await #expect(next("reading", from: socket).contains("\"isOn\":true"))
            }
        }
    }
}

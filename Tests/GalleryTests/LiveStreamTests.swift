// Who gets what of a live stream.

import NIOCore
import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct LiveStreamTests {
    private static let begin: [UInt8] = [0x1A, 0x45, 0xDF, 0xA3, 1], start = "{\"start\":{\"type\":\"video/webm\",\"name\":\"Ann\"}}"

    private func cluster(_ mark: UInt8, _ size: Int = 10) -> Message {
        .binary([0x1F, 0x43, 0xB6, 0x75, mark] + [UInt8](repeating: 0, count: size - 5))
    }

    private func streaming(_ body: (String) async throws -> Void) async throws {
        let server = WebSocketServer(port: 0)
        let live = LiveStream()
        live.mount(on: server)
        let ticks = Task { await live.run(on: server) }
        defer { ticks.cancel() }
        try await serving(server, body)
    }

    /// The next binary message.
    private func nextChunk(from socket: WebSocket) async throws -> [UInt8] {
        for try await message in socket { if let bytes = message.binary { return Array(bytes.readableBytesView) } }
        return []
    }

    @Test func latecomersGetTheBeginningAndTheNewest() async throws {
        try await streaming { url in
            try await WebSocketClient.connect(url + "/live/ann") { ann in
                try await ann.send(Self.start)
                try await ann.send(.binary(Self.begin))
                for mark in 1...3 as ClosedRange<UInt8> { try await ann.send(cluster(mark)) }
                // All of it was taken when this is answered.
                try await ann.send("{}")
                #expect(try await next("refused", from: ann).contains("Not understood"))
                try await WebSocketClient.connect(url + "/live/ben") { ben in
                    #expect(try await next("live", from: ben).contains("\"name\":\"Ann\""))
                    #expect(try await nextChunk(from: ben) == [0, 0, 0, 0] + Self.begin)
                    #expect(try await nextChunk(from: ben).prefix(9) == [0, 0, 0, 3, 0x1F, 0x43, 0xB6, 0x75, 3])
                    try await ann.send(cluster(4))
                    #expect(try await nextChunk(from: ben).prefix(9) == [0, 0, 0, 4, 0x1F, 0x43, 0xB6, 0x75, 4])
                    // Who has lost the thread may ask for it.
                    try await ben.send("{\"again\":{}}")
                    #expect(try await nextChunk(from: ben) == [0, 0, 0, 0] + Self.begin)
                    #expect(try await nextChunk(from: ben).prefix(4) == [0, 0, 0, 4])
                    try await ann.send("{\"stop\":{}}")
                    _ = try await next("over", from: ben)
                }
            }
        }
    }

    @Test func whoIsSlowSkipsWholeClusters() async throws {
        try await streaming { url in
            try await WebSocketClient.connect(url + "/live/ann") { ann in
                try await WebSocketClient.connect(url + "/live/slow") { slow in
                    try await ann.send(Self.start)
                    try await ann.send(.binary(Self.begin))
                    // More than all buffers between two ends that do not read.
                    for mark in 1...21 as ClosedRange<UInt8> { try await ann.send(cluster(mark, 760_000)) }
                    try await ann.send("{\"stop\":{}}")
                    _ = try await next("over", from: ann)
                    var marks: [UInt8] = []
                    for try await message in slow {
                        if message.text?.hasPrefix("{\"over\"") == true { break }
                        guard let bytes = message.binary.map({ Array($0.readableBytesView) }), bytes.count > 9 else { continue }
                        #expect(bytes.count == 760_004 && bytes[3] == bytes[8], "whole, and with its own number")
                        marks.append(bytes[8])
                    }
                    #expect(marks == marks.sorted() && Set(marks).count == marks.count)
                    #expect(marks.count < 21, "some were skipped")
                }
            }
        }
    }

    @Test func saysWhatItDoesNotTake() async throws {
        try await streaming { url in
            try await WebSocketClient.connect(url + "/live/ann") { ann in
                try await WebSocketClient.connect(url + "/live/eve") { eve in
                    for (message, reason) in [
                        (cluster(1), "You are not on the air."), (.binary([1, 2, 3, 4]), "no cluster of WebM"),
                        (.binary([]), "no cluster of WebM"), (cluster(1, 800_000), "768 KB at most"),
                        (.text("{\"start\":{\"type\":\"text/html\",\"name\":\"A\"}}"), "WebM here"),
                    ] {
                        try await ann.send(message)
                        #expect(try await next("refused", from: ann).contains(reason))
                    }
                    try await ann.send(Self.start)
                    try await ann.send(cluster(1))
                    #expect(try await next("refused", from: ann).contains("one beginning"))
                    try await ann.send(.binary(Self.begin))
                    try await ann.send(.binary(Self.begin))
                    #expect(try await next("refused", from: ann).contains("one beginning"))
                    try await eve.send(Self.start)
                    #expect(try await next("refused", from: eve).contains("Ann is on the air already."))
                    try await eve.send(cluster(1))
                    #expect(try await next("refused", from: eve).contains("You are not on the air."))
                }
            }
        }
    }

    @Test func whoLeavesIsOffTheAir() async throws {
        try await streaming { url in
            try await WebSocketClient.connect(url + "/live/ben") { ben in
                try await WebSocketClient.connect(url + "/live/ann") { ann in
                    try await ann.send(Self.start)
                    _ = try await next("live", from: ben)
                    // 0 or 1 may have been told before.
                    var count = ""
                    repeat { count = try await next("viewers", from: ann) } while !count.contains("2")
                }
                _ = try await next("over", from: ben)
                try await ben.send(Self.start)
                #expect(try await next("live", from: ben).contains("\"user\":\"ben\""))
            }
        }
    }
}

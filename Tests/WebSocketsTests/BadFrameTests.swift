// Frames that real servers fell to, as their exact bytes on a real socket; the mask key is 00 00 00 00. The letter and number at the end
// of a name is the row in the project's table of bad inputs.

import NIOCore
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(1))) struct BadFrameTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let row: String
        let bytes: [UInt8]
        let code: UInt16

        init(_ row: String, _ bytes: [UInt8], _ code: UInt16) { (self.row, self.bytes, self.code) = (row, bytes, code) }
        var testDescription: String { row }
    }

    static let mask: [UInt8] = [0, 0, 0, 0]

    static func close(_ code: UInt16, _ reason: [UInt8] = []) -> [UInt8] {
        [0x88, 0x80 | UInt8(2 + reason.count)] + mask + [UInt8(code >> 8), UInt8(code & 0xFF)] + reason
    }

    // MARK: What fails the connection

    static let lengths = [
        Case("F1 all ones", [0x82, 0xFF] + Array(repeating: 0xFF, count: 8), 1002),
        Case("F1 top bit", [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1], 1002),
        Case("F1 largest", [0x82, 0xFF, 0x7F] + Array(repeating: 0xFF, count: 7) + mask, 1009),
        Case("F1 sum overflows", [0x02, 0x81] + mask + [0x61, 0x80, 0xFF, 0x7F] + Array(repeating: 0xFF, count: 7) + mask, 1009),
        Case("F2 declares 2 GB", [0x82, 0xFF, 0, 0, 0, 0, 0x80, 0, 0, 0] + mask, 1009),
        Case("F2 one byte over the limit", [0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 1] + mask, 1009),
        Case("F8 control of 126 bytes", [0x89, 0xFE, 0, 126], 1002),
        Case("F8 125 in 16 bits", [0x82, 0xFE, 0, 125], 1002),
        Case("F8 65,535 in 64 bits", [0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], 1002),
    ]

    /// As many frames as the default limits let in are the time of a whole test under a sanitizer; these are a sixteenth of them.
    static let fragmentLimits = Limits(maxMessageSize: 65_536, maxFragments: 8192)

    static let fragments = [
        Case("F5 sixteen bytes at a time", [0x02, 0x81] + mask + [0x61] + many([0x00, 0x90] + mask + many([0x62], 16), 4096), 1009),
        Case("F5 one byte at a time", [0x02, 0x81] + mask + [0x61] + many([0x00, 0x81] + mask + [0x62], 8192), 1008),
        Case("F5 empty continuations", [0x02, 0x81] + mask + [0x61] + many([0x00, 0x80] + mask, 8192), 1008),
    ]

    static let headers =
        [
            Case("F3 unmasked", [0x81, 0x01], 1002),
            Case("F4 RSV1", [0xC1, 0x80], 1002), Case("F4 RSV2", [0xA1, 0x80], 1002), Case("F4 RSV3", [0x91, 0x80], 1002),
            Case("F4 RSV1 on a ping", [0xC9, 0x80], 1002), Case("F4 RSV1 on a close", [0xC8, 0x80], 1002),
            Case("F4 RSV1 on a continuation", [0x01, 0x80] + mask + [0xC0, 0x80], 1002),
            Case("F8 fragmented ping", [0x09, 0x80], 1002), Case("F8 fragmented close", [0x08, 0x80], 1002),
            Case("continuation of nothing", [0x80, 0x80] + mask, 1002),
            Case("a message inside a message", [0x01, 0x80] + mask + [0x81, 0x80] + mask, 1002),
        ] + [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map { Case("F4 opcode \($0)", [0x80 | $0, 0x80], 1002) }

    static let closes =
        [
            Case("F8 half a code", [0x88, 0x81] + mask + [0x03], 1002),
            Case("F8 bad UTF-8 in the reason", close(1000, [0xFF]), 1007),
            Case("bad UTF-8 inside a fragment", [0x01, 0x84] + mask + [0x61, 0xFF], 1007),
        ] + [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map { Case("F8 code \($0)", close($0), 1002) }

    @Test(arguments: lengths + headers + closes)
    func failsTheConnectionWithOneLogLine(_ bad: Case) async throws { try await failsTheConnection(bad, Limits()) }

    @Test(arguments: fragments)
    func failsTheConnectionOverItsLimits_F5(_ bad: Case) async throws { try await failsTheConnection(bad, Self.fragmentLimits) }

    private func failsTheConnection(_ bad: Case, _ limits: Limits) async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.connection.limits = limits
        try await withServer(configuration) { port, _ in
            let client = try await RawClient.open(port: port)
            let other = try await RawClient.open(port: port)
            client.channel.writeAndFlush(ByteBuffer(bytes: bad.bytes), promise: nil)
            let start = await client.read(4)
            try #require(start.count == 4 && start[0] == 0x88, "\(start)")
            let reason = await client.read(Int(start[1]) - 2)
            #expect(UInt16(start[2]) << 8 | UInt16(start[3]) == bad.code, "\(String(decoding: reason, as: UTF8.self))")
            // RFC 6455 §7.1.7: an endpoint MUST NOT continue to attempt to process data from the remote endpoint.
            #expect(await client.readToEnd() == [])
            await client.close()
            try await other.send([0x81, 0x81] + Self.mask + [0x61])
            #expect(await other.read(3) == [0x81, 0x01, 0x61])
        }
        #expect(log.shown.count == 1, "\(log.shown)")
        #expect(log.shown.first?.metadata["peer"] != nil)
    }

    @Test func dataAfterCloseIsNotDelivered_F8() async throws {
        try await withServer { port, server in
            let client = try await RawClient.open(port: port)
            try await client.send(Self.close(1000) + [0x81, 0x81] + Self.mask + [0x61])
            #expect(await client.readToEnd() == [0x88, 0x02, 0x03, 0xE8])
            #expect(server.statistics.received == 0)
        }
    }

    @Test func aClientFailsOnAMaskedFrame_F3() async throws {
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            try await peer.write([0x81, 0x81])
            let (opcode, payload) = try await peer.readFrame()
            #expect(opcode == 8)
            #expect(payload.prefix(2) == [0x03, 0xEA])
        } while: { peer in
            let error = await #expect(throws: ConnectionClosed.self) {
                try await WebSocketClient.connect(peer.url, configuration: .patient) { socket in for try await _ in socket {} }
            }
            #expect(error?.closure.code == .protocolError)
            #expect(error?.cause is ProtocolError)
        }
    }

    // MARK: Splits

    /// Sessions that follow the rules, and what the echoing server answers.
    static let sessions: [(bytes: [UInt8], answer: [UInt8])] = [
        (
            // Text in three pieces, the last cut inside a character, with pings between them.
            [0x01, 0x81] + mask + [0x61, 0x89, 0x81] + mask + [0x31, 0x00, 0x81] + mask + [0xC3, 0x89, 0x80] + mask
                + [0x80, 0x81] + mask + [0xA4] + close(1000),
            [0x8A, 0x01, 0x31, 0x8A, 0x00, 0x81, 0x03, 0x61, 0xC3, 0xA4, 0x88, 0x02, 0x03, 0xE8]
        ),
        (
            // An empty message, one with a 16-bit length, and an unasked pong; every key is another.
            [0x82, 0x80, 1, 2, 3, 4] + [0x82, 0xFE, 0, 126, 0xFF, 0, 0, 0] + many([0x9E, 0x61, 0x61, 0x61], 31) + [0x9E, 0x61]
                + [0x8A, 0x80] + mask + close(4000, Array("bye".utf8)),
            [0x82, 0x00, 0x82, 0x7E, 0, 126] + many([0x61], 126) + [0x88, 0x02, 0x0F, 0xA0]
        ),
    ]

    @Test(arguments: ["/echo", "/echo-async"]) func everySplitGivesTheSame_F9(path: String) async throws {
        try await withServer { port, _ in
            for session in Self.sessions {
                for split in 0..<session.bytes.count {
                    let client = try await RawClient.open(port: port, path: path)
                    if split > 0 { try await client.send(session.bytes[..<split]) }
                    try await client.send(session.bytes[split...])
                    // Pongs go before what waits, and are merged if two pings came in one read.
                    let answer = await client.readToEnd()
                    #expect(Self.withoutPongs(answer) == Self.withoutPongs(session.answer), "split at \(split)")
                }
            }
        }
    }

    /// The frames but for pongs; all are shorter than 64 KiB, and none is masked.
    private static func withoutPongs(_ bytes: [UInt8]) -> [UInt8] {
        var (rest, kept) = (bytes[...], [UInt8]())
        while rest.count >= 2 {
            let isLong = rest[rest.startIndex + 1] == 126 && rest.count >= 4
            let length = Int(rest[rest.startIndex + (isLong ? 3 : 1)]) + (isLong ? 4 : 2)
            if rest.first != 0x8A { kept += rest.prefix(length) }
            rest = rest.dropFirst(length)
        }
        return kept
    }

    // MARK: Mask keys

    @Test func everyFrameOfAClientHasAFreshKey_F10() async throws {
        let count = 10_000
        let keys = Mutex<[UInt32]>([])
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            for _ in 0..<count {
                let key = try await peer.read(7)[2..<6].reduce(0) { $0 << 8 | UInt32($1) }
                keys.withLock { $0.append(key) }
            }
            try await peer.echo()
        } while: { peer in
            try await WebSocketClient.connect(peer.url, configuration: .patient) { socket in
                for _ in 0..<count { try await socket.send(.binary([0x61])) }
            }
        }
        let all = keys.withLock { $0 }
        #expect(all.count == count)
        // Of 10,000 random keys, two are equal in one run of a hundred, and four pairs in none that anybody will see.
        #expect(Set(all).count > count - 4)
        for bit in 0..<32 {
            // Half of them have each bit; 400 away from that is eight times the standard deviation.
            #expect(abs(all.count { $0 >> bit & 1 == 1 } - count / 2) < 400, "bit \(bit)")
        }
    }

    // MARK: Slow readers

    @Test func aSlowReaderIsCutOffAndTheOthersMissNothing_F12() async throws {
        let log = LogRecorder()
        var configuration = WebSocketServer.Configuration.forTests(log: log)
        configuration.connection.maxSendBuffer = 1 << 20
        let everyone = Everyone()
        try await withServer(configuration, routes: { $0.webSocket("/all") { (_: WebSocket) in everyone } }) { port, _ in
            let slow = try await RawClient.open(port: port, path: "/all", reads: false)
            let fast = try await RawClient.open(port: port, path: "/all")
            let message: [UInt8] = [0x82, 0xFE, 0xEA, 0x60] + Self.mask + Array(repeating: 0x61, count: 60_000)
            let answer: [UInt8] = [0x82, 0x7E, 0xEA, 0x60] + Array(repeating: 0x61, count: 60_000)
            var rounds = 0
            // The system buffers between the two fill first.
            while !everyone.hasDropped && rounds < 2000 {
                rounds += 1
                try await fast.send(message)
                #expect(await fast.read(answer.count) == answer)
            }
            #expect(everyone.hasDropped, "nothing was dropped in \(rounds) messages")
            #expect(everyone.mostBuffered <= 1 << 20)
            try await fast.send(message)
            #expect(await fast.read(answer.count) == answer)
            // What the slow one finds, once it reads: whole messages, then the close.
            try await slow.readOn()
            let close: [UInt8] = [0x88, 0x12, 0x03, 0xF5] + Array("reads too slowly".utf8)
            let found = await slow.readToEnd()
            #expect(found.suffix(close.count) == close[...])
            #expect((found.count - close.count) % answer.count == 0)
        }
        #expect(log.shown.map(\.text) == ["closing: the peer reads too slowly"])
    }
}

/// Repeats bytes.
private func many(_ bytes: [UInt8], _ count: Int) -> [UInt8] { Array(repeatElement(bytes, count: count).joined()) }

/// Says to everyone what one of them says.
private final class Everyone: WebSocketHandler, Sendable {
    private struct Contents {
        var sockets: [WebSocket] = []
        var hasDropped = false
        var mostBuffered = 0
    }

    private let contents = Mutex(Contents())
    var hasDropped: Bool { contents.withLock { $0.hasDropped } }
    var mostBuffered: Int { contents.withLock { $0.mostBuffered } }

    func opened(_ socket: WebSocket) { contents.withLock { $0.sockets.append(socket) } }
    func closed(_ socket: WebSocket, _ closure: Closure) { contents.withLock { $0.sockets.removeAll { $0 === socket } } }

    func received(_ message: Message, from socket: WebSocket) {
        for socket in contents.withLock({ $0.sockets }) {
            let result = socket.trySend(message)
            contents.withLock {
                $0.hasDropped = $0.hasDropped || result == .dropped
                $0.mostBuffered = max($0.mostBuffered, socket.bufferedAmount)
            }
        }
    }
}

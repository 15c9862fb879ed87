import NIOCore
import Testing
import WebSocketCore
import WebSocketDeflate

@testable import WebSockets

/// Compressed messages on one connection, by their frames.
struct WebSocketCompressionTests {
    private static let hello: [UInt8] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]
    /// "Hello" again, by reference to the message before.
    private static let helloAgain: [UInt8] = [0xF2, 0x00, 0x11, 0x00, 0x00]

    private static func frame(_ payload: [UInt8], opcode: UInt8 = 1, isFinal: Bool = true, isCompressed: Bool = true) -> WireFrame {
        WireFrame(opcode: opcode, payload: payload, isFinal: isFinal, isCompressed: isCompressed)
    }

    /// What a server agrees on with a client that offers all.
    private static func agreement(_ compression: Compression, _ offer: String = "; client_max_window_bits") throws -> DeflateAgreement {
        try #require(DeflateNegotiation.answer(try ExtensionList.parse(["permessage-deflate" + offer]), compression))
    }

    private static func bench(
        _ compression: Compression = .shared, _ configuration: ConnectionConfiguration = .quiet, beside other: SocketBench? = nil,
        _ received: @escaping (Message) -> Void = { _ in }
    ) throws -> SocketBench {
        SocketBench(
            configuration, beside: other, deflate: try agreement(compression),
            handler: ClosureHandler(whenReceived: { message, _ in received(message) }))
    }

    // MARK: Receiving

    @Test(arguments: [Compression.shared, .dedicated()]) func readsWhatComesCompressed(compression: Compression) throws {
        var received: [Message] = []
        let bench = try Self.bench(compression) { received.append($0) }
        bench.receive(Self.frame(Self.hello))
        bench.receive(Self.frame(Self.hello, opcode: 2))
        bench.receive(.text("plain"))
        bench.receive(Self.frame([0x00]))
        bench.receive(Self.frame([]))
        #expect(received == [.text("Hello"), .binary(Array("Hello".utf8)), .text("plain"), .text(""), .text("")])
    }

    @Test func everySplitOfACompressedMessageReadsTheSame() throws {
        var frames = Self.frame(Array(Self.hello[..<3]), isFinal: false).encoded(masked: true)
        // D6: a control frame between the fragments, and a plain message behind them.
        frames += WireFrame.ping([1]).encoded(masked: true)
        frames += Self.frame(Array(Self.hello[3...]), opcode: 0, isCompressed: false).encoded(masked: true)
        frames += WireFrame.text("plain").encoded(masked: true)
        for split in frames.indices {
            var received: [Message] = []
            let bench = try Self.bench(.dedicated()) { received.append($0) }
            bench.receive(Array(frames[..<split]))
            bench.receive(Array(frames[split...]))
            #expect(received == [.text("Hello"), .text("plain")], "split at \(split)")
            #expect(try bench.frames == [.pong([1])], "split at \(split)")
        }
    }

    @Test func remembersWhereItWasAgreedOn() throws {
        var received: [Message] = []
        let bench = try Self.bench(.dedicated()) { received.append($0) }
        bench.receive(Self.frame(Self.hello))
        bench.receive(Self.frame(Self.helloAgain))
        #expect(received == [.text("Hello"), .text("Hello")])
    }

    /// Two connections of one thread take turns; neither reads what the other's messages said.
    @Test func nothingLeaksFromOneConnectionToAnother() throws {
        var received: [Message] = []
        let first = try Self.bench { received.append($0) }
        let second = try Self.bench(beside: first) { received.append($0) }
        #expect(first.socket.codec === second.socket.codec)
        first.receive(Self.frame(Self.hello))
        second.receive(Self.frame(Self.hello))
        first.receive(Self.frame(Array(Self.hello[..<2]), isFinal: false))
        second.receive(Self.frame(Self.hello))
        first.receive(Self.frame(Array(Self.hello[2...]), opcode: 0, isCompressed: false))
        #expect(received == [.text("Hello"), .text("Hello"), .text("Hello"), .text("Hello")])
        second.receive(Self.frame(Self.helloAgain))
        first.run()
        #expect(received.count == 4)
        #expect(try second.frames.last?.payload.prefix(2) == [0x03, 0xEF])
        first.receive(Self.frame(Self.hello))
        #expect(received.count == 5)
    }

    // MARK: What fails the connection

    private static func code(_ frames: [WireFrame], limit: Int = 1000) throws -> UInt16? {
        var configuration = ConnectionConfiguration.quiet
        configuration.limits = Limits(maxMessageSize: limit)
        var received: [Message] = []
        let bench = try bench(.shared, configuration) { received.append($0) }
        for frame in frames { bench.receive(frame) }
        #expect(received.isEmpty)
        return try bench.frames.last.flatMap { $0.opcode == 8 ? UInt16($0.payload[0]) << 8 | UInt16($0.payload[1]) : nil }
    }

    /// 1001 zeros and 1,000,000 zeros.
    private static func zeros(_ count: Int) throws -> [UInt8] {
        let deflater = try #require(Deflater(level: 9, windowBits: 15, memoryLevel: 9))
        var output = [UInt8](repeating: 0, count: try #require(deflater.bound(count)))
        let size = [UInt8](repeating: 0, count: count).withUnsafeBytes { zeros in
            output.withUnsafeMutableBytes { deflater.deflate(zeros, into: $0) }
        }
        return Array(output.prefix(try #require(size)))
    }

    /// D1.
    @Test(arguments: [1001, 1_000_000]) func aMessageThatInflatesPastTheLimitIsTooBig(size: Int) throws {
        let bomb = try Self.zeros(size)
        #expect(bomb.count < 1000)
        #expect(try Self.code([Self.frame(bomb, opcode: 2)]) == 1009)
        let half = bomb.count / 2
        #expect(
            try Self.code([
                Self.frame(Array(bomb[..<half]), opcode: 2, isFinal: false),
                Self.frame(Array(bomb[half...]), opcode: 0, isCompressed: false),
            ]) == 1009)
    }

    @Test func compressedBytesCountAsWell() throws {
        let empty = (0..<201).flatMap { _ in [0x00, 0x00, 0x00, 0xFF, 0xFF] as [UInt8] }
        #expect(try Self.code([Self.frame(empty, opcode: 2)]) == 1009)
    }

    @Test func whatIsNotDeflateOrNotTextIsInvalid() throws {
        #expect(try Self.code([Self.frame([0x06])]) == 1007)
        // A stored block of FF.
        #expect(try Self.code([Self.frame([0x00, 0x01, 0x00, 0xFE, 0xFF, 0xFF, 0x00])]) == 1007)
        // Of C3, the first half of a character.
        #expect(try Self.code([Self.frame([0x00, 0x01, 0x00, 0xFE, 0xFF, 0xC3, 0x00])]) == 1007)
    }

    @Test func onlyTheFirstFrameOfAMessageSaysThatItIsCompressed() throws {
        #expect(try Self.code([Self.frame(Self.hello, isFinal: false), Self.frame([0x00], opcode: 0)]) == 1002)
        #expect(try Self.code([Self.frame([], opcode: 9)]) == 1002)
    }

    // MARK: Sending

    private static let long = String(repeating: "to be or not to be, ", count: 40)

    @Test func compressesWhatIsLongEnough() throws {
        let bench = try Self.bench()
        bench.socket.trySend(.text(Self.long))
        bench.socket.trySend(.text(String(Self.long.prefix(511))))
        bench.socket.trySend(.text(String(Self.long.prefix(512))))
        bench.run()
        let frames = try bench.frames
        #expect(frames.map(\.isCompressed) == [true, false, true])
        #expect(frames[0].payload.count < Self.long.utf8.count / 4)
        #expect(
            try Self.read(frames, .shared) == [
                .text(Self.long), .text(String(Self.long.prefix(511))), .text(String(Self.long.prefix(512))),
            ])
    }

    @Test func theProgramDecidesForAMessage() throws {
        let bench = try Self.bench()
        bench.socket.trySend(.text(Self.long).compressed(.never))
        bench.socket.trySend(.text("aaaaaaaaaaaaaaaaaaaa").compressed(.always))
        bench.socket.trySend(.text("").compressed(.always))
        bench.run()
        #expect(try bench.frames.map(\.isCompressed) == [false, true, false])
    }

    @Test func whatWouldBecomeLongerLeavesAsItIs() throws {
        var generator = SystemRandomNumberGenerator()
        let noise = (0..<1000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let bench = try Self.bench()
        bench.socket.trySend(.binary(noise))
        bench.run()
        #expect(try bench.frames == [.binary(noise)])
    }

    @Test func aShortMessageIsShorterThatRepeatsOneBefore() throws {
        let bench = try Self.bench(.dedicated())
        let text = "{\"user\":\"anna\",\"text\":\"good morning\"}"
        for _ in 0..<3 { bench.socket.trySend(.text(text)) }
        bench.run()
        let frames = try bench.frames
        #expect(frames.map(\.isCompressed) == [true, true, true])
        #expect(frames[1].payload.count < 10)
        #expect(try Self.read(frames, .dedicated()) == [Message](repeating: .text(text), count: 3))
    }

    @Test func whatIsSentFromElsewhereOrHeldBackIsCompressedInOrder() throws {
        let bench = try Self.bench(.dedicated())
        let sending = bench.begin { socket in
            try await socket.sendMessage(.text) { writer in
                try await writer.write("a")
                socket.trySend(.text(Self.long))
                try await writer.write("b")
            }
            socket.trySend(.text(Self.long))
        }
        #expect(sending.value != nil)
        #expect(try Self.read(bench.frames, .dedicated()) == [.text("ab"), .text(Self.long), .text(Self.long)])
    }

    @Test func nothingIsCompressedWhereItWasNotAgreedOn() throws {
        let bench = SocketBench(handler: ClosureHandler())
        bench.socket.trySend(.text(Self.long).compressed(.always))
        bench.run()
        #expect(try bench.frames == [.text(Self.long)])
    }

    @Test func aClientMasksWhatItCompresses() throws {
        let agreed = try #require(
            try DeflateNegotiation.check(try ExtensionList.parse(["permessage-deflate; server_no_context_takeover"]), .shared))
        let bench = SocketBench(role: .client, deflate: agreed, handler: ClosureHandler())
        bench.socket.trySend(.text(Self.long))
        bench.run()
        #expect(bench.transport.seen[0] == 0xC1 && bench.transport.seen[1] & 0x80 != 0)
        #expect(try Self.read(bench.frames, .shared) == [.text(Self.long)])
    }

    /// What a peer reads.
    private static func read(_ frames: [WireFrame], _ compression: Compression) throws -> [Message] {
        var messages: [Message] = []
        let peer = try bench(compression) { messages.append($0) }
        for frame in frames { peer.receive(frame) }
        return messages
    }

    // MARK: To many

    @Test func whatIsPreparedIsCompressedOnce() throws {
        let prepared = PreparedMessage(.text(Self.long))
        let first = try Self.bench()
        let second = try Self.bench(beside: first)
        let elsewhere = try Self.bench()
        for bench in [first, second, elsewhere] { bench.socket.trySend(prepared) }
        for bench in [first, elsewhere] { bench.run() }
        #expect(prepared.compressed.made == 1)
        for bench in [first, second, elsewhere] { #expect(try Self.read(bench.frames, .shared) == [.text(Self.long)]) }
        #expect(try first.frames[0].isCompressed)
    }

    @Test func whatIsPreparedSuitsEveryone() throws {
        let prepared = PreparedMessage(.text(Self.long))
        let plain = SocketBench(handler: ClosureHandler())
        let dedicated = try Self.bench(.dedicated())
        let small = SocketBench(
            deflate: try Self.agreement(.shared, "; server_max_window_bits=8"), handler: ClosureHandler())
        for bench in [plain, dedicated, small] {
            for _ in 0..<2 { bench.socket.trySend(prepared) }
            bench.run()
        }
        #expect(try plain.frames == [.text(Self.long), .text(Self.long)])
        #expect(try Self.read(dedicated.frames, .dedicated()) == [.text(Self.long), .text(Self.long)])
        #expect(try dedicated.frames[1].payload.count < 20)
        #expect(try Self.read(small.frames, .shared) == [.text(Self.long), .text(Self.long)])
        #expect(prepared.compressed.made == 1)
    }

    @Test func whatIsPreparedAndWouldBecomeLongerLeavesAsItIs() throws {
        var generator = SystemRandomNumberGenerator()
        let noise = (0..<1000).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let prepared = PreparedMessage(.binary(noise))
        let bench = try Self.bench()
        for _ in 0..<2 { bench.socket.trySend(prepared) }
        bench.run()
        #expect(try bench.frames == [.binary(noise), .binary(noise)])
        #expect(prepared.compressed.made == 1)
    }
}

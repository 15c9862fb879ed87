// From the transport to the handler: RFC 6455 §5.4–§5.5, §6.2.

import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(5))) struct WebSocketReceivingTests {
    // MARK: Callbacks

    @Test func tellsTheHandlerEachMessageInOrder() {
        let (handler, messages) = collecting()
        let bench = SocketBench(handler: handler)
        bench.receive(
            WireFrame.text("a").encoded(masked: true) + WireFrame.binary([1, 2]).encoded(masked: true)
                + WireFrame.text("").encoded(masked: true))
        #expect(messages.value == [.text("a"), .binary([1, 2]), .text("")])
    }

    @Test func joinsFragmentsAndTakesControlFramesInBetween() throws {
        let (handler, messages) = collecting()
        let bench = SocketBench(handler: handler)
        bench.receive(WireFrame(opcode: 1, payload: Array("Hel".utf8), isFinal: false))
        bench.receive(.ping([5]))
        bench.receive(WireFrame(opcode: 0, payload: [], isFinal: false))
        bench.receive(WireFrame(opcode: 0, payload: Array("lo".utf8)))
        bench.receive(.text("next"))
        #expect(messages.value == [.text("Hello"), .text("next")])
        #expect(try bench.frames == [.pong([5])])
    }

    @Test func takesBytesCutAnywhere() {
        let bytes =
            WireFrame.text("Hellö").encoded(masked: true)
            + WireFrame(opcode: 2, payload: [UInt8](repeating: 7, count: 200), isFinal: false).encoded(masked: true)
            + WireFrame(opcode: 0, payload: [8]).encoded(masked: true) + WireFrame.text("end").encoded(masked: true)
        for cut in 0...bytes.count {
            let (handler, messages) = collecting()
            let bench = SocketBench(handler: handler)
            bench.receive(Array(bytes[..<cut]))
            bench.receive(Array(bytes[cut...]))
            #expect(
                messages.value == [.text("Hellö"), .binary([UInt8](repeating: 7, count: 200) + [8]), .text("end")], "cut at \(cut)")
        }
    }

    @Test func unmasksWithTheKeyOfTheFrame() {
        let (handler, messages) = collecting()
        let bench = SocketBench(handler: handler)
        // RFC 6455 §5.7: "A single-frame masked text message", which says Hello.
        bench.receive([0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58])
        #expect(messages.value == [.text("Hello")])
    }

    @Test func keepsAMessageWhateverComesAfter() {
        let (handler, messages) = collecting()
        let bench = SocketBench(handler: handler)
        for number in 0..<100 { bench.receive(.binary([UInt8](repeating: UInt8(number), count: 100))) }
        #expect(messages.value == (0..<100).map { .binary([UInt8](repeating: UInt8($0), count: 100)) })
    }

    @Test func tellsNoMessageAfterTheClose() {
        let (handler, messages) = collecting()
        let bench = SocketBench(handler: handler)
        bench.socket.close()
        bench.receive(.text("too late"))
        #expect(messages.value == [])
    }

    @Test func tellsWhatCameBeforeABrokenFrame() throws {
        let bench = SocketBench(handler: ClosureHandler(whenReceived: { message, socket in socket.trySend(message) }))
        bench.receive(WireFrame.text("right").encoded(masked: true) + [0xC1, 0x80])
        #expect(try bench.frames.map(\.opcode) == [1, 8])
        #expect(try bench.frames.first == .text("right"))
    }

    @Test func aSocketWithAHandlerCannotBeIterated() {
        let bench = SocketBench(handler: ClosureHandler())
        let iterating = bench.begin { socket in for try await _ in socket {} }
        #expect(iterating.error as? UsageError == UsageError(.messagesGoToHandler))
    }

    // MARK: for try await

    @Test func aSecondIterationGoesOnWhereTheFirstStopped() {
        let bench = SocketBench()
        for number in 0..<6 { bench.receive(.text("\(number)")) }
        let texts = bench.begin { socket in
            var texts: [String?] = []
            for try await message in socket {
                texts.append(message.text)
                if texts.count == 2 { break }
            }
            for try await message in socket {
                texts.append(message.text)
                if texts.count == 5 { break }
            }
            return texts
        }
        #expect(texts.value == ["0", "1", "2", "3", "4"])
        let last = bench.begin { socket in
            for try await message in socket { return message.text ?? "" }
            return ""
        }
        #expect(last.value == "5")
    }

    @Test func answersOfATaskLeaveInOneWriteWithWhatArrived() {
        let bench = SocketBench()
        bench.begin { socket in for try await message in socket { try await socket.send(message) } }
        bench.receive((0..<100).flatMap { WireFrame.text("message \($0)").encoded(masked: true) })
        #expect(bench.transport.writes == 1)
    }

    // MARK: Back-pressure on a real socket

    /// An echo with callbacks on a real socket, and a client that reads nothing until the server has stopped reading.
    @Test func anEchoStopsReadingAClientThatDoesNotReadAndLosesNothing() async throws {
        let sockets = Box<[WebSocket]>([])
        let most = Box(0)
        let server = WebSocketServer(port: 0, configuration: .init(connection: .quiet, threads: 1, transport: .underTest))
        server.webSocket(
            "/",
            handler: { socket in
                sockets.value = [socket]
                return ClosureHandler(whenReceived: { message, socket in
                    #expect(socket.trySend(message) != .dropped)
                    let amount = socket.bufferedAmount
                    most.change { $0 = max($0, amount) }
                })
            })
        let running = Task { try await server.run() }
        defer { running.cancel() }
        let address = try await server.waitUntilListening()
        let payload = [UInt8](repeating: 3, count: 50_000)
        let frame = WireFrame.binary(payload).encoded(masked: true)
        let count = 480
        let client = try await LazyClient.connect(address)
        try await client.upgrade("/")
        // Twenty-four megabytes, more than any system keeps in its buffers for two ends of a connection.
        let sending = Task { try await client.write((0..<count).flatMap { _ in frame }) }
        await waitUntil(sockets) { $0.isReadingHeldUp }
        // One read's answers, at most 64 KiB and the frame they end, go over the mark.
        #expect(most.value <= ConnectionConfiguration().sendHighWaterMark + 65_536 + 2 * frame.count)
        let echoed = try await client.read(count * (payload.count + 4))
        try await sending.value
        #expect(echoed == (0..<count).flatMap { _ in WireFrame.binary(payload).encoded(masked: false) })
        #expect(await onThread(of: sockets, { !$0.isReadingHeldUp && $0.readyState == .open }))
        try? await client.channel.close()
    }

    /// The same with `for try await`, of which nobody takes a message.
    @Test func aSlowReaderOfMessagesStopsTheReadingOfTheSocket() async throws {
        let sockets = Box<[WebSocket]>([])
        let gate = Gate()
        let received = Box(0)
        let server = WebSocketServer(port: 0, configuration: .init(connection: .quiet, threads: 1, transport: .underTest))
        server.webSocket("/") { socket in
            sockets.value = [socket]
            await gate.wait()
            for try await message in socket {
                received.change { $0 += message.payload.readableBytes }
                if received.value == 24_000_000 { try await socket.send("all") }
            }
        }
        let running = Task { try await server.run() }
        defer { running.cancel() }
        let client = try await LazyClient.connect(try await server.waitUntilListening())
        try await client.upgrade("/")
        let frame = WireFrame.binary([UInt8](repeating: 3, count: 50_000)).encoded(masked: true)
        let sending = Task { try await client.write((0..<480).flatMap { _ in frame }) }
        await waitUntil(sockets) { $0.inbox?.isPaused == true }
        #expect(received.value == 0)
        // What one read brings goes over the mark of 64 KiB.
        #expect(server.statistics.received <= 4)
        gate.open()
        #expect(try await client.read(5) == [0x81, 3] + Array("all".utf8))
        try await sending.value
        try? await client.channel.close()
    }

    /// What came with the handshake is more than the connection takes at once: reading stays stopped when the handshake is over.
    @Test func whatComesWithTheHandshakeCanStopTheReading() async throws {
        let (sockets, gate) = (Box<[WebSocket]>([]), Gate())
        let server = WebSocketServer(port: 0, configuration: .init(connection: .quiet, threads: 1, transport: .underTest))
        server.webSocket("/") { socket in
            sockets.value = [socket]
            await gate.wait()
        }
        let running = Task { try await server.run() }
        defer { running.cancel() }
        let client = try await LazyClient.connect(try await server.waitUntilListening())
        let frame = WireFrame.binary([UInt8](repeating: 3, count: 1000)).encoded(masked: true)
        let sending = Task { try await client.write(LazyClient.request("/") + (0..<20_000).flatMap { _ in frame }) }
        await waitUntil(sockets) { $0.inbox?.isPaused == true }
        for _ in 0..<1000 { _ = await onThread(of: sockets) { _ in } }
        #expect(server.statistics.received <= 200)
        gate.open()
        try? await client.channel.close()
        _ = await sending.result
    }

    private func collecting() -> (ClosureHandler, Box<[Message]>) {
        let messages = Box<[Message]>([])
        return (ClosureHandler(whenReceived: { message, _ in messages.change { $0.append(message) } }), messages)
    }
}

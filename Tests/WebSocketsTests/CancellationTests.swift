// Cancelling a task never corrupts the stream: whatever is cancelled when, the peer sees whole messages only, in order per sender.

import NIOCore
import NIOPosix
import TestSupport
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(2))) struct CancellationTests {
    /// On one thread, where the seed decides everything, the peer's reading included.
    @Test func onOneThreadWhateverTheOrder() throws {
        let first = UInt64.random(in: 0 ... .max)
        for seed in (0..<12).map({ first &+ $0 }) { try run(seed: seed) }
    }

    private func run(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var configuration = ConnectionConfiguration.quiet
        configuration.sendHighWaterMark = 5000
        configuration.maxUnreadBytes = 5000
        let bench = SocketBench(role: Bool.random(using: &random) ? .server : .client, configuration)
        bench.transport.highWaterMark = 2000
        bench.transport.stall()
        let received = Box<[Int]>([])
        var tasks: [Outcome<Void>] = []
        var sent = 0
        for step in 0..<300 {
            switch Int.random(in: 0..<12, using: &random) {
            case 0...3:
                let length = [0, 10, 300, 9000].randomElement(using: &random) ?? 0
                tasks.append(bench.prepare { try await sendThree(from: step, length: length, on: $0) })
            case 4: tasks.append(bench.prepare { try await stream(from: step, on: $0) })
            case 5: tasks.append(bench.prepare { try await $0.ping() })
            case 6:
                tasks.append(
                    bench.prepare { socket in
                        var messages = socket.makeAsyncIterator()
                        guard let message = try await messages.next() else { return }
                        received.change { $0.append(Int(message.text ?? "") ?? -1) }
                    })
            case 7, 8: tasks.randomElement(using: &random)?.cancel()
            case 9: bench.take(.random(in: 1...10_000, using: &random))
            case 10:
                bench.receive(.text("\(sent)"))
                sent += 1
            default: bench.run()
            }
        }
        bench.run()
        bench.take()
        for task in tasks { task.cancel() }
        bench.run()
        #expect(tasks.allSatisfy { $0.hasEnded }, "seed \(seed): a task hangs")
        #expect(received.value == Array(0..<received.value.count), "seed \(seed): messages received")
        try check(try bench.frames, atEnd: bench.socket.readyState == .open, bench.transport.seen.count, "seed \(seed)")
    }

    /// On real threads and a real socket, where the machine decides.
    @Test func onManyThreads() async throws {
        let seed = UInt64.random(in: 0 ... .max)
        var configuration = WebSocketServer.Configuration(threads: 1, transport: .underTest)
        configuration.connection.sendHighWaterMark = 50_000
        let (sockets, gate) = (Box<[WebSocket]>([]), Gate())
        let server = WebSocketServer(port: 0, configuration: configuration)
        server.webSocket("/") { socket in
            sockets.value = [socket]
            await gate.wait()
            try await socket.send("end")
        }
        let running = Task { try await server.run() }
        defer { running.cancel() }
        let client = try await LazyClient.connect(try await server.waitUntilListening())
        try await client.upgrade("/")
        let socket = await onThread(of: sockets) { $0 }
        let reading = Task {
            var bytes: [UInt8] = []
            let end = WireFrame.text("end").encoded(masked: false) + WireFrame.close(1000).encoded(masked: false)
            while !bytes.suffix(end.count).elementsEqual(end) { bytes += try await client.readSome() }
            return bytes
        }
        await withTaskGroup(of: Void.self) { group in
            for sender in 0..<100 {
                var random = SeededGenerator(seed: seed &+ UInt64(sender))
                let length = [0, 10, 3000, 40_000].randomElement(using: &random) ?? 0
                let yields = Int.random(in: 0..<50, using: &random)
                group.addTask {
                    let sending = Task { try await sendThree(from: sender, length: length, on: socket) }
                    for _ in 0..<yields { await Task.yield() }
                    sending.cancel()
                    _ = await sending.result
                }
            }
        }
        gate.open()
        let bytes = try await reading.value
        try check(try WireFrame.all(in: bytes).dropLast(2), atEnd: true, bytes.count - 9, "seed \(seed)")
        try? await client.channel.close()
    }

    /// Each message says who sent it, which of the sender's it is, and is filled by its number.
    private func check(_ frames: [WireFrame], atEnd isOpen: Bool, _ count: Int, _ note: Comment) throws {
        var last: [Int: Int] = [:]
        for message in try WireFrame.messages(in: frames) {
            try #require(message.count >= 5, note)
            let sender = Int(message[0]) << 8 | Int(message[1])
            let (number, length) = (Int(message[2]), Int(message[3]) << 8 | Int(message[4]))
            #expect(message.count == 5 + length, note)
            #expect(message.dropFirst(5).allSatisfy { $0 == UInt8(number) }, note)
            // A sender that was cancelled sends no more; what it sent has no gap.
            #expect(number == (last[sender] ?? -1) + 1, note)
            last[sender] = number
        }
        guard isOpen else { return }
        let size = frames.reduce(0) { $0 + $1.encoded(masked: false).count }
        let keys = (count - size) % 4
        #expect(keys == 0 && count >= size, "what is left over is not a frame: \(note)")
    }
}

@Sendable
private func numbered(_ sender: Int, _ number: Int, _ length: Int) -> [UInt8] {
    [UInt8(sender >> 8), UInt8(sender & 255), UInt8(number), UInt8(length >> 8), UInt8(length & 255)]
        + [UInt8](repeating: UInt8(number), count: length)
}

@Sendable
private func sendThree(from sender: Int, length: Int, on socket: WebSocket) async throws {
    for number in 0..<3 {
        try await socket.send(.binary(numbered(sender, number, length)))
        await Task.yield()
    }
}

/// Sends a message in pieces; a second one at the same time is a usage error.
@Sendable
private func stream(from sender: Int, on socket: WebSocket) async throws {
    let message = numbered(sender, 0, 6000)
    try await socket.sendMessage(.binary) { writer in
        for start in stride(from: 0, to: message.count, by: 701) {
            try await writer.write(ByteBuffer(bytes: message[start..<min(start + 701, message.count)]))
            await Task.yield()
        }
    }
}

// The turns of a thread: what arrived, the tasks it woke, one write.

import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct EventThreadTests {
    // MARK: Turns

    @Test(arguments: [WebSocketServer.Transport.automatic, .nio])
    func aTaskThatGoesOnAndOnKeepsTheThreadFromNobody(transport: WebSocketServer.Transport) async throws {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.transport = transport
        let others = NIOLockedValueBox(0)
        func routes(_ server: WebSocketServer) {
            server.webSocket("/busy") { socket in
                try await socket.send(.text("busy"))
                while !Task.isCancelled && others.withLockedValue({ $0 }) < 1 { await Task.yield() }
                try await socket.send(.text("done"))
            }
            // The same, but each step is asked of the loop.
            server.webSocket("/publisher") { socket in
                try await socket.send(.text("busy"))
                while !Task.isCancelled && others.withLockedValue({ $0 }) < 1 {
                    server.publish(.text("x"), to: "nobody's")
                    await server.waitUntilDelivered()
                }
                try await socket.send(.text("done"))
            }
            addEchoes(to: server)
        }
        try await withServer(configuration, routes: routes) { port, _ in
            for path in ["busy", "publisher"] {
                others.withLockedValue { $0 = 0 }
                try await WebSocketClient.connect("ws://127.0.0.1:\(port)/\(path)", configuration: .patient) { busy in
                    var messages = busy.makeAsyncIterator()
                    #expect(try await messages.next()?.text == "busy")
                    try await WebSocketClient.connect("ws://127.0.0.1:\(port)/echo-async", configuration: .patient) { other in
                        other.trySend(.text("hi"))
                        var messages = other.makeAsyncIterator()
                        let answer = try await messages.next()
                        #expect(answer?.text == "hi")
                    }
                    others.withLockedValue { $0 += 1 }
                    #expect(try await messages.next()?.text == "done")
                }
            }
        }
    }

    @Test func tasksThatWereWokenRunBeforeTheTurnsWrite() throws {
        let bench = SocketBench()
        bench.begin { socket in
            for try await message in socket {
                // Each of these suspends, and is resumed in the same turn.
                await Task.yield()
                try await socket.send(message)
            }
        }
        bench.read(ByteBuffer(bytes: WireFrame.text("a").encoded(masked: true)))
        #expect(bench.transport.flushes == 0)
        bench.run()
        #expect(bench.transport.seen == WireFrame.text("a").encoded(masked: false))
    }

    @Test func aTurnInsideATurnIsPartOfIt() throws {
        let bench = SocketBench()
        bench.thread.inTurn {
            bench.socket.trySend(.text("a"))
            bench.thread.inTurn { bench.socket.trySend(.text("b")) }
            bench.thread.perform { bench.socket.trySend(.text("c")) }
        }
        #expect(bench.transport.writes == 0)
        bench.run()
        #expect(bench.transport.writes == 1)
        #expect(try bench.frames == [.text("a"), .text("b"), .text("c")])
    }

    @Test func whatIsSentOutsideATurnLeavesInTheNext() throws {
        let bench = SocketBench()
        bench.socket.trySend(.text("a"))
        bench.socket.trySend(.text("b"))
        #expect(bench.transport.writes == 0)
        bench.run()
        #expect(bench.transport.writes == 1)
    }

    @Test func laterMeansAfterTheTurn() {
        let bench = SocketBench()
        let order = Box<[String]>([])
        bench.thread.inTurn {
            bench.thread.performLater { order.change { $0.append("later") } }
            order.change { $0.append("now") }
        }
        #expect(order.value == ["now"])
        bench.run()
        #expect(order.value == ["now", "later"])
    }

    /// Whoever asks, on the thread or elsewhere, is not overtaken by who asks later.
    @Test func workIsDoneInTheOrderOfItsAsking() async {
        let loop = NIOLoop(MultiThreadedEventLoopGroup.singleton.any())
        let order = Box<[String]>([])
        let (isHeld, hasAsked) = (Gate(), Gate())
        let (ask, goOn) = (ThreadGate(), ThreadGate())
        loop.execute {
            isHeld.open()
            ask.wait()
            loop.execute { order.change { $0.append("on the thread") } }
            hasAsked.open()
            goOn.wait()
        }
        await isHeld.wait()
        // The event loop is asked for this one, and does with it what else is there by then.
        loop.execute { order.change { $0.append("first") } }
        ask.open()
        await hasAsked.wait()
        loop.execute { order.change { $0.append("elsewhere") } }
        goOn.open()
        await withCheckedContinuation { continuation in loop.execute { continuation.resume() } }
        #expect(order.value == ["first", "on the thread", "elsewhere"])
    }

    /// A client's event loop is its owner's to end. What will never be done is not kept, as it may keep the thread.
    @Test func nothingIsKeptForAnEventLoopThatItsOwnerHasEnded() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = NIOLoop(group.next())
        try await group.shutdownGracefully()
        for _ in 0..<2 {
            weak var kept: Box<Int>?
            do {
                let box = Box(0)
                kept = box
                loop.execute { box.value = 1 }
            }
            #expect(kept == nil)
        }
    }

    @Test func tasksThatWakeEachOtherDoNotStarveTheSockets() {
        let bench = SocketBench()
        let rounds = Box(0)
        let spinning = bench.prepare { _ in
            for _ in 0..<3000 {
                rounds.change { $0 += 1 }
                await Task.yield()
            }
        }
        let seen = Box(0)
        bench.socket.trySend(.text("a"))
        // The second of these comes after the turn's end.
        bench.thread.performLater { bench.thread.performLater { seen.value = rounds.value } }
        bench.run()
        // Not all of them: each round takes a job or two of the 1024 that one turn runs.
        #expect(seen.value > 0 && seen.value <= 1024)
        #expect(spinning.value != nil)
        #expect(rounds.value == 3000)
    }

    @Test func tasksRunOnTheThreadWhereverTheyAreBegun() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let bench = try await loop.submit { SocketBench(on: loop) }.get()
        let (isThere, isThereAfterAwait) = await Task(executorPreference: bench.socket.executor) {
            let isThere = loop.inEventLoop
            try? await bench.socket.send("a")
            await Task.yield()
            return (isThere, loop.inEventLoop)
        }.value
        #expect(isThere && isThereAfterAwait)
    }

    // MARK: Buffers

    @Test func framesAreCollectedInMemoryThatWasUsedBefore() {
        let thread = SocketBench().thread
        let frames = thread.takeFrames()
        frames.append(ByteBuffer(string: "written"))
        thread.giveBack(frames)
        #expect(thread.takeFrames() === frames)
        #expect(frames.count == 0)
        #expect(thread.takeFrames() !== frames)
    }

    @Test func memoryThatHasGrownLargeIsNotKept() {
        let thread = SocketBench().thread
        let frames = FrameBuffer(capacity: 100_000)
        thread.giveBack(frames)
        #expect(thread.takeFrames() !== frames)
        thread.giveBackWriteBuffer(ByteBuffer(repeating: 1, count: 100_000))
        #expect(thread.takeWriteBuffer(capacity: 10).storageCapacity < 10_000)
    }

    @Test func reusingBuffersChangesNothingThatSomebodyHolds() {
        let thread = SocketBench().thread
        var written = thread.takeWriteBuffer(capacity: 10)
        written.writeString("written")
        thread.giveBackWriteBuffer(written)
        var next = thread.takeWriteBuffer(capacity: 10)
        next.writeString("another")
        #expect(written == ByteBuffer(string: "written"))
        var read = thread.takeReadBuffer()
        read.writeString("read")
        thread.giveBackReadBuffer(read)
        var later = thread.takeReadBuffer()
        later.writeString("late")
        #expect(read == ByteBuffer(string: "read"))
    }

    @Test func muchIsWrittenBeforeTheTurnEnds() {
        let bench = SocketBench(handler: ClosureHandler(whenReceived: { message, socket in socket.trySend(message) }))
        bench.read(ByteBuffer(bytes: WireFrame.text("little").encoded(masked: true)))
        #expect(bench.transport.flushes == 0)
        for _ in 0..<4 {
            #expect(bench.transport.flushes == 0)
            bench.read(ByteBuffer(bytes: WireFrame.binary([UInt8](repeating: 1, count: 16_384)).encoded(masked: true)))
        }
        #expect(bench.transport.flushes == 1)
    }

    @Test func aReadBufferIsUsedAgainOnceWhatLayInItHasLeft() {
        let thread = SocketBench().thread
        var waiting: [ByteBuffer] = []
        var places: Set<UInt> = []
        for _ in 0..<3 {
            var buffer = thread.takeReadBuffer()
            buffer.writeString("still to be sent")
            waiting.append(buffer)
            places.insert(address(buffer))
            thread.giveBackReadBuffer(buffer)
        }
        #expect(places.count == 3)
        #expect(waiting.allSatisfy { $0 == ByteBuffer(string: "still to be sent") })
        waiting.removeAll()
        for _ in 0..<3 {
            let buffer = thread.takeReadBuffer()
            #expect(buffer.readableBytes == 0)
            #expect(places.contains(address(buffer)))
            waiting.append(buffer)
        }
    }

    @Test func messagesThatAreKeptForLongDoNotHaveMoreAndMoreBuffersKept() {
        let thread = SocketBench().thread
        var kept: [ByteBuffer] = []
        for _ in 0..<20 {
            var buffer = thread.takeReadBuffer()
            buffer.writeString("kept")
            kept.append(buffer)
            thread.giveBackReadBuffer(buffer)
        }
        // Eight that were lent, and the last.
        #expect(kept.indices.count { kept[$0].modifyIfUniquelyOwned { _ in } == nil } == 9)
    }

    private func address(_ buffer: ByteBuffer) -> UInt { buffer.withVeryUnsafeBytes { UInt(bitPattern: $0.baseAddress) } }

    // MARK: Connections

    @Test func knowsTheOpenConnectionsWhateverTheOrderOfTheirEnds() {
        let benches = (0..<3).map { _ in SocketBench() }
        let thread = benches[0].thread
        for bench in benches[1...] { thread.add(bench.socket) }
        #expect(thread.openSockets.count == 3)
        thread.remove(benches[0].socket)
        thread.remove(benches[2].socket)
        #expect(thread.openSockets.map(ObjectIdentifier.init) == [ObjectIdentifier(benches[1].socket)])
        thread.remove(benches[1].socket)
        #expect(thread.openSockets.isEmpty)
        for bench in benches { bench.socket.slot = 0 }
    }

    @Test func publishesWhatHappenedAtTheEndOfATurn() throws {
        let bench = SocketBench(handler: ClosureHandler(whenReceived: { message, socket in socket.trySend(message) }))
        bench.read(ByteBuffer(bytes: WireFrame.text("abc").encoded(masked: true)))
        #expect(bench.thread.statistics.snapshot.received == 0)
        bench.run()
        #expect(bench.thread.statistics.snapshot.received == 1)
        #expect(bench.thread.statistics.snapshot.sent == 1)
    }
}

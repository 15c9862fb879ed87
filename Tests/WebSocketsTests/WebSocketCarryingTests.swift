// What a protocol on top of WebSocket needs of a connection: WebSocket+Carrying.swift.

import NIOCore
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct WebSocketCarryingTests {
    @Test func aByteGoesBeforeThePayload() throws {
        let bench = SocketBench()
        #expect(bench.socket.trySend(.text("hi"), after: 0x34) == .sent)
        #expect(bench.socket.trySend(.binary([]), after: 7) == .sent)
        bench.run()
        #expect(bench.transport.seen == [0x81, 3, 0x34, 0x68, 0x69, 0x82, 1, 7])
    }

    @Test(arguments: [124, 125, 126, 8191, 8192, 65_534, 65_535, 100_000]) func lengthsOfAnySize(count: Int) throws {
        let bench = SocketBench()
        let text = String(repeating: "x", count: count)
        bench.socket.trySend(.text("before"))
        bench.socket.trySend(.text(text), after: 0x34)
        bench.socket.trySend(.text("behind"))
        bench.run()
        #expect(try bench.frames == [.text("before"), .text("4" + text), .text("behind")])
    }

    @Test func aClientMasksItToo() throws {
        let bench = SocketBench(role: .client)
        bench.socket.trySend(.text("hi"), after: 0x34)
        bench.run()
        #expect(try bench.frames == [.text("4hi")])
    }

    @Test func nothingGoesAfterTheClose() {
        let bench = SocketBench()
        bench.socket.close()
        bench.run()
        let seen = bench.transport.seen
        #expect(bench.socket.trySend(.text("late"), after: 0x34) == .dropped)
        bench.run()
        #expect(bench.transport.seen == seen)
    }

    @Test func knowsItsThread() {
        let bench = SocketBench()
        #expect(bench.socket.isOnThread)
    }
}

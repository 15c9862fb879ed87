// Accepting pauses and resumes, on a real listening socket; that the process really runs out is tested in DuplexTests, in a child.

import Logging
import NIOCore
import NIOEmbedded
import NIOPosix
import Testing

@testable import WebSockets

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#elseif canImport(Glibc)
import Glibc
#endif

@Suite(.timeLimit(.minutes(1))) struct AcceptGateTests {
    private let log = LogRecorder()

    /// Listens behind a gate, and counts whom it accepts.
    private func listening(
        retry: TimeAmount, reserve: DescriptorReserve? = nil, isIdle: Bool = false,
        _ body: (any Channel, AcceptGate, AsyncStream<Void>) async throws -> Void
    ) async throws {
        let gate = AcceptGate(logger: log.logger, retryInterval: retry, reserve: reserve, isIdle: { isIdle })
        let (accepted, accept) = AsyncStream<Void>.makeStream()
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelInitializer { $0.pipeline.addHandler(gate) }
            .childChannelInitializer { channel in
                accept.yield()
                return channel.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: "127.0.0.1", port: 0).get()
        try await body(channel, gate, accepted)
        try await channel.close()
    }

    private func isAccepting(_ channel: any Channel) async throws -> Bool { try await channel.getOption(.autoRead).get() }

    private func fail(_ channel: any Channel, _ code: CInt) { channel.pipeline.fireErrorCaught(IOError(errnoCode: code, reason: "accept")) }

    @Test(arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM])
    func pausesUntilAConnectionEnds(_ code: CInt) async throws {
        try await listening(retry: .hours(1)) { channel, gate, accepted in
            fail(channel, code)
            try await #expect(!isAccepting(channel))
            let client = try await RawClient.connect(port: channel.localAddress?.port ?? 0)
            try await #expect(!isAccepting(channel))
            gate.connectionClosed()
            for await _ in accepted { break }
            try await #expect(isAccepting(channel))
            await client.close()
        }
        #expect(log.shown.count == 1)
        #expect(log.shown.first?.level == .warning)
    }

    @Test func triesAgainAfterATime() async throws {
        try await listening(retry: .milliseconds(20)) { channel, _, accepted in
            fail(channel, EMFILE)
            let client = try await RawClient.connect(port: channel.localAddress?.port ?? 0)
            for await _ in accepted { break }
            await client.close()
        }
    }

    @Test func warnsOnceHoweverOftenItPauses() async throws {
        try await listening(retry: .hours(1)) { channel, gate, _ in
            for _ in 0..<100 {
                fail(channel, EMFILE)
                try await #expect(!isAccepting(channel))
                gate.connectionClosed()
                try await #expect(isAccepting(channel))
            }
        }
        #expect(log.shown.count == 1)
    }

    @Test func pausesBeforeTheLastDescriptors() async throws {
        let files = Files(limit: 100, lowestFree: 20)
        try await listening(retry: .hours(1), reserve: files.reserve) { channel, gate, accepted in
            var comers = accepted.makeAsyncIterator()
            let port = channel.localAddress?.port ?? 0
            let first = try await RawClient.connect(port: port)
            await comers.next()
            try await #expect(isAccepting(channel))
            files.lowestFree.change { $0 = 88 }
            let second = try await RawClient.connect(port: port)
            await comers.next()
            try await #expect(!isAccepting(channel))
            // As many are gone as have come: there is still no more room.
            gate.connectionClosed()
            try await #expect(!isAccepting(channel))
            files.lowestFree.change { $0 = 87 }
            gate.connectionClosed()
            try await #expect(isAccepting(channel))
            let third = try await RawClient.connect(port: port)
            await comers.next()
            for client in [first, second, third] { await client.close() }
        }
        #expect(log.shown.map(\.level) == [.warning])
        #expect(log.shown.first?.text.contains("ulimit -n") == true)
    }

    /// Nobody is there who could end.
    @Test func takesOneWhereThereIsNone() async throws {
        let files = Files(limit: 100, lowestFree: 88)
        try await listening(retry: .hours(1), reserve: files.reserve, isIdle: true) { channel, gate, accepted in
            var comers = accepted.makeAsyncIterator()
            for _ in 0..<3 {
                let client = try await RawClient.connect(port: channel.localAddress?.port ?? 0)
                await comers.next()
                try await #expect(!isAccepting(channel))
                await client.close()
                gate.connectionClosed()
                try await #expect(isAccepting(channel))
            }
        }
    }

    /// Somebody else of the process may have closed some, or the limit been raised.
    @Test func looksAgainAfterATime() async throws {
        let files = Files(limit: 100, lowestFree: 20)
        try await listening(retry: .milliseconds(20), reserve: files.reserve) { channel, _, accepted in
            var comers = accepted.makeAsyncIterator()
            files.lowestFree.change { $0 = 88 }
            let first = try await RawClient.connect(port: channel.localAddress?.port ?? 0)
            await comers.next()
            try await #expect(!isAccepting(channel))
            files.limit.change { $0 = 200 }
            let second = try await RawClient.connect(port: channel.localAddress?.port ?? 0)
            await comers.next()
            for client in [first, second] { await client.close() }
        }
    }

    @Test func goesOnAfterOtherErrors() async throws {
        try await listening(retry: .hours(1)) { channel, gate, accepted in
            fail(channel, ECONNABORTED)
            gate.connectionClosed()
            try await #expect(isAccepting(channel))
            let client = try await RawClient.connect(port: channel.localAddress?.port ?? 0)
            for await _ in accepted { break }
            await client.close()
        }
        #expect(log.shown.isEmpty)
    }

    /// The time of a pause that ended early must not end the next one.
    @Test func eachPauseLastsItsWholeTime() throws {
        let channel = EmbeddedChannel(handler: AcceptGate(logger: log.logger, retryInterval: .seconds(10)))
        let gate = try channel.pipeline.syncOperations.handler(type: AcceptGate.self)
        var isAccepting: Bool? { channel.options.last { $0.option is ChannelOptions.Types.AutoReadOption }?.value as? Bool }
        fail(channel, EMFILE)
        channel.embeddedEventLoop.advanceTime(by: .seconds(4))
        gate.connectionClosed()
        channel.embeddedEventLoop.run()
        #expect(isAccepting == true)
        // Twice, as an error while it is paused begins the pause anew.
        for _ in 0..<2 {
            fail(channel, EMFILE)
            channel.embeddedEventLoop.advanceTime(by: .seconds(9))
            #expect(isAccepting == false)
        }
        channel.embeddedEventLoop.advanceTime(by: .seconds(1))
        #expect(isAccepting == true)
        _ = try channel.finish()
    }

    /// The gate outlives the channel, and its loop.
    @Test func hasNothingToResumeOnceTheChannelIsClosed() async throws {
        weak var closed: (any Channel)?
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let gate = AcceptGate(logger: log.logger, retryInterval: .hours(1))
        do {
            let channel = try await ServerBootstrap(group: group).serverChannelInitializer { $0.pipeline.addHandler(gate) }
                .bind(host: "127.0.0.1", port: 0).get()
            closed = channel
            fail(channel, EMFILE)
            try await #expect(!isAccepting(channel))
            try await channel.close()
        }
        try await group.shutdownGracefully()
        #expect(closed == nil)
        gate.connectionClosed()
    }
}

// What the connections of a server share.

import NIOCore
import NIOPosix
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct ServerCoreTests {
    @Test func countsConnectionsAgainstTheLimit() {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.maxConnections = 2
        let core = ServerCore(configuration)
        let freed = Atomic(0)
        let places = ConnectionSlots(core) { freed.add(1, ordering: .relaxed) }
        var slots = (0..<4).map { _ in ConnectionSlot(places) }
        #expect(slots.map(\.isOverLimit) == [false, false, true, true])
        slots.removeFirst(3)
        #expect(freed.load(ordering: .relaxed) == 3)
        slots += (0..<2).map { _ in ConnectionSlot(places) }
        #expect(slots.map(\.isOverLimit) == [true, false, true])
    }

    @Test func whatWasHandedOverIsFreeWhenItsNewHolderGoes() {
        let core = ServerCore(.forTests())
        let freed = Atomic(0)
        let places = ConnectionSlots(core) { freed.add(1, ordering: .relaxed) }
        var slot: ConnectionSlot? = ConnectionSlot(places)
        do {
            let held = slot?.handOver()
            slot = nil
            #expect(freed.load(ordering: .relaxed) == 0)
            _ = consume held
        }
        #expect(freed.load(ordering: .relaxed) == 1)
    }

    /// What a closure is made of: its code and what it captures.
    private struct Kept {
        let respond: ServerCore.Responder?
        var words: [UInt] { withUnsafeBytes(of: self) { Array($0.bindMemory(to: UInt.self)) } }
    }

    @Test func aLookAtTheResponderDoesNotWrapIt() {
        let core = ServerCore(.forTests())
        let name = "captured"
        core.responder = { _ in .text(name) }
        let first = Kept(respond: core.responder)
        #expect((0..<10).allSatisfy { _ in Kept(respond: core.responder).words == first.words })
    }

    @Test func aHeldPlaceCountsAndCanBecomeASlot() {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.maxConnections = 1
        let freed = Atomic(0)
        let places = ConnectionSlots(ServerCore(configuration)) { freed.add(1, ordering: .relaxed) }
        var areOver = [true, false]
        let first = HeldSlot(places, isOverLimit: &areOver[0])
        let second = HeldSlot(places, isOverLimit: &areOver[1])
        #expect(areOver == [false, true])
        var slot: ConnectionSlot? = ConnectionSlot(second, isOverLimit: true)
        #expect(slot?.isOverLimit == true)
        #expect(freed.load(ordering: .relaxed) == 0)
        slot = nil
        #expect(freed.load(ordering: .relaxed) == 1)
        _ = consume first
        #expect(freed.load(ordering: .relaxed) == 2)
    }

    @Test func hasNoLimitUnlessItIsSet() {
        let core = ServerCore(.forTests())
        #expect((0..<1000).map { _ in ConnectionSlot(ConnectionSlots(core)) }.allSatisfy { !$0.isOverLimit })
    }

    @Test func isBusyWhileARequestIsAnswered() {
        let core = ServerCore(.forTests())
        #expect(!core.isBusy)
        core.requestBegan()
        core.requestBegan()
        core.requestEnded()
        #expect(core.isBusy)
        core.requestEnded()
        #expect(!core.isBusy)
    }

    @Test func drainsOnceAndForAll() {
        let core = ServerCore(.forTests())
        #expect(!core.isDraining)
        core.beginDraining()
        #expect(core.isDraining)
    }

    @Test func cancelsTheTasksAndWaitsForThem() async {
        let tasks = TaskRegistry()
        let thread = EventThread(eventLoop: MultiThreadedEventLoopGroup.singleton.next(), statistics: Statistics(role: .server))
        let ended = Atomic(0)
        for _ in 0..<10 {
            tasks.begin(on: thread) {
                // Only its cancellation ends it.
                let (never, keep) = AsyncStream<Void>.makeStream()
                for await _ in never {}
                withExtendedLifetime(keep) { _ = ended.add(1, ordering: .relaxed) }
            }
        }
        tasks.cancelAll()
        await tasks.waitForAll()
        #expect(ended.load(ordering: .relaxed) == 10)
    }
}

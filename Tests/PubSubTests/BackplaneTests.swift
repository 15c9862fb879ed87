import NIOConcurrencyHelpers
import NIOCore
import PubSub
import Testing

@Suite struct BackplaneTests {
    private final class Ear: Sendable {
        private let store = NIOLockedValueBox<[String]>([])
        var heard: [String] { store.withLockedValue { $0 } }
        func hear(_ publication: Publication) {
            store.withLockedValue { $0.append("\(publication.topic) \(String(buffer: publication.payload))") }
        }
    }

    private static func publication(_ topic: String, _ text: String) -> Publication {
        Publication(topic: topic, payload: ByteBuffer(string: text), isText: true)
    }

    @Test func othersHearWhatTheyListenTo() throws {
        let cluster = InMemoryCluster()
        let (a, b, c) = (cluster.makeNode(), cluster.makeNode(), cluster.makeNode())
        let (earA, earB, earC) = (Ear(), Ear(), Ear())
        a.start { earA.hear($0) }
        b.start { earB.hear($0) }
        c.start { earC.hear($0) }
        a.subscribe(to: .topic("x"))
        b.subscribe(to: .topic("x"))
        c.subscribe(to: .pattern(try TopicPattern("#")))
        a.publish(Self.publication("x", "1"))
        c.publish(Self.publication("y", "2"))
        b.unsubscribe(from: .topic("x"))
        c.publish(Self.publication("x", "3"))
        c.stop()
        b.publish(Self.publication("x", "4"))
        #expect(earA.heard == ["x 3", "x 4"])
        #expect(earB.heard == ["x 1"])
        #expect(earC.heard == ["x 1"])
    }

    @Test func interestIsCountedOverThreads() {
        let spy = Spy()
        let interest = Interest(spy)
        interest.add(.topic("x"))
        interest.add(.topic("x"))
        interest.add(.topic("y"))
        interest.remove(.topic("x"))
        #expect(spy.log == ["+x", "+y"])
        interest.remove(.topic("x"))
        interest.remove(.topic("x"))
        interest.add(.topic("x"))
        #expect(spy.log == ["+x", "+y", "-x", "+x"])
    }

    private final class Spy: Backplane {
        private let store = NIOLockedValueBox<[String]>([])
        var log: [String] { store.withLockedValue { $0 } }
        func start(receive: @escaping @Sendable (Publication) -> Void) {}
        func publish(_ publication: Publication) {}
        func subscribe(to filter: TopicFilter) { store.withLockedValue { $0.append("+\(filter)") } }
        func unsubscribe(from filter: TopicFilter) { store.withLockedValue { $0.append("-\(filter)") } }
        func stop() {}
    }
}

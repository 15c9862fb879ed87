// What waits for a thread, and what stays of it when it is too much.

import NIOCore
import Synchronization
import TestSupport
import Testing
import WebSocketCore

@testable import WebSockets

@Suite struct MailboxTests {
    private let bench = SocketBench()
    /// What a message of one character to a topic of one character holds.
    private static let size = delivery("x").size

    private static func delivery(_ text: String, to topic: String = "a", key: String? = nil, except: WebSocket? = nil) -> Delivery {
        Delivery(topic: topic, key: key, prepared: PreparedMessage(.text(text)), except: except)
    }

    private func mailbox(limit: Int) -> Mailbox {
        let mailbox = Mailbox(limit: limit)
        mailbox.subscriptions.add(1, ordering: .relaxed)
        return mailbox
    }

    private func post(_ delivery: Delivery, to mailbox: Mailbox) { mailbox.post(delivery, waking: bench.thread) }

    private func deliveries(_ content: Mailbox.Content) -> [Delivery] {
        content.entries.compactMap { if case .delivery(let delivery) = $0 { delivery } else { nil } }
    }

    private func texts(_ content: Mailbox.Content) -> [String] { deliveries(content).map { $0.prepared.message.text ?? "" } }

    @Test func messagesAndChangesKeepTheirOrder() throws {
        let (mailbox, log) = (mailbox(limit: 1 << 20), Box<[String]>([]))
        post(Self.delivery("1"), to: mailbox)
        mailbox.post(waking: bench.thread) { log.change { $0.append("change") } }
        post(Self.delivery("2"), to: mailbox)
        let content = try #require(mailbox.takeAll(of: bench.thread))
        for entry in content.entries {
            switch entry {
            case .delivery(let delivery): log.change { $0.append(delivery.prepared.message.text ?? "") }
            case .work(let change): change()
            }
        }
        #expect(log.value == ["1", "change", "2"])
        #expect(content.missed.isEmpty && content.bytes == 2 * Self.size)
        #expect(mailbox.takeAll(of: bench.thread) == nil && !bench.thread.hasMail.load(ordering: .relaxed))
    }

    @Test func aThreadWithoutSubscriptionsIsSentNothing() {
        let mailbox = Mailbox(limit: 1 << 20)
        post(Self.delivery("1"), to: mailbox)
        #expect(mailbox.takeAll(of: bench.thread) == nil && !bench.thread.hasMail.load(ordering: .relaxed))
        // A subscription that is on its way counts.
        mailbox.post(waking: bench.thread) {}
        post(Self.delivery("2"), to: mailbox)
        #expect(mailbox.takeAll(of: bench.thread)?.entries.count == 2)
    }

    @Test func theNewestStayOfWhatIsTooMuch() throws {
        let mailbox = mailbox(limit: 10 * Self.size)
        for number in 0..<10 { post(Self.delivery("\(number)"), to: mailbox) }
        post(Self.delivery("x"), to: mailbox)
        let content = try #require(mailbox.takeAll(of: bench.thread))
        #expect(texts(content) == ["6", "7", "8", "9", "x"])
        #expect(content.bytes == 5 * Self.size)
        #expect(content.missed.topics.mapValues(\.count) == ["a": 6])
        #expect(content.missed.others == 0)
    }

    @Test func theLatestOfEachTopicAndKeyStays() throws {
        let mailbox = mailbox(limit: 12 * Self.size)
        post(Self.delivery("x", key: "k"), to: mailbox)
        post(Self.delivery("1", key: "k"), to: mailbox)
        post(Self.delivery("2", to: "b"), to: mailbox)
        for number in 3..<13 { post(Self.delivery("\(number % 10)"), to: mailbox) }
        let content = try #require(mailbox.takeAll(of: bench.thread))
        #expect(texts(content) == ["1", "2", "9", "0", "1", "2"])
        #expect(content.missed.topics.mapValues(\.count) == ["a": 7])
    }

    @Test func changesStayWhateverIsDropped() throws {
        let (mailbox, made) = (mailbox(limit: 4 * Self.size), Box(0))
        for number in 0..<10 {
            post(Self.delivery("\(number)"), to: mailbox)
            mailbox.post(waking: bench.thread) { made.change { $0 += 1 } }
        }
        for case .work(let change) in try #require(mailbox.takeAll(of: bench.thread)).entries { change() }
        #expect(made.value == 10)
        #expect(mailbox.subscriptions.load(ordering: .relaxed) == 1)
    }

    @Test func aMessageOverTheLimitMayWaitAlone() throws {
        let mailbox = mailbox(limit: Self.size)
        post(Self.delivery("1"), to: mailbox)
        post(Self.delivery(String(repeating: "x", count: 10_000)), to: mailbox)
        let content = try #require(mailbox.takeAll(of: bench.thread))
        #expect(content.entries.count == 1)
        #expect(content.bytes == deliveries(content)[0].size && content.bytes > 20_000)
        post(Self.delivery(String(repeating: "x", count: 10_000)), to: mailbox)
        post(Self.delivery("2"), to: mailbox)
        #expect(try texts(#require(mailbox.takeAll(of: bench.thread))) == ["2"])
    }

    @Test func whoWasToGetNothingMissesNothing() throws {
        let mailbox = mailbox(limit: Self.size)
        for _ in 0..<5 { post(Self.delivery("x", except: bench.socket), to: mailbox) }
        for number in 0..<5 { post(Self.delivery("x", to: "b", except: number == 2 ? bench.socket : nil), to: mailbox) }
        let missed = try #require(mailbox.takeAll(of: bench.thread)).missed
        #expect(missed.topics["a"]?.except === bench.socket)
        #expect(missed.topics["b"]?.except == nil)
        #expect(missed.topics.mapValues(\.count) == ["a": 5, "b": 4])
    }

    @Test func onlySoManyTopicsAreToldApart() throws {
        let mailbox = mailbox(limit: Self.size)
        for number in 0..<1500 { post(Self.delivery("x", to: "\(number)"), to: mailbox) }
        let missed = try #require(mailbox.takeAll(of: bench.thread)).missed
        #expect(missed.topics.count == 1000)
        #expect(missed.others == 499)
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func nothingIsLostWithoutBeingCounted(seed: UInt64) throws {
        print("MailboxTests.nothingIsLostWithoutBeingCounted seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let limit = Int.random(in: 1...40, using: &random) * Self.size
            let mailbox = mailbox(limit: limit)
            var posted: [Delivery] = []
            for number in 0..<Int.random(in: 1...120, using: &random) {
                let text = "\(number)" + String(repeating: "x", count: Int.random(in: 0..<300, using: &random))
                let key = Bool.random(using: &random) ? "\(Int.random(in: 0..<4, using: &random))" : nil
                posted.append(Self.delivery(text, to: ["a", "b"].randomElement(using: &random) ?? "", key: key))
                post(posted[posted.count - 1], to: mailbox)
            }
            let content = try #require(mailbox.takeAll(of: bench.thread))
            let kept = deliveries(content)
            #expect(content.bytes == kept.reduce(0) { $0 + $1.size } && (content.bytes <= limit || kept.count == 1))
            #expect(kept.last === posted.last)
            // In their order, and the rest is counted.
            var places = posted.makeIterator()
            for delivery in kept { while let next = places.next(), next !== delivery {} }
            #expect(places.next() == nil, "seed \(seed)")
            #expect(kept.count + content.missed.topics.values.reduce(0) { $0 + $1.count } == posted.count, "seed \(seed)")
        }
    }
}

// Topics over real sockets, several threads and several nodes.

import NIOCore
import PubSub
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.serialized, .timeLimit(.minutes(2))) struct TopicBrokerTests {
    private static func configuration(threads: Int = 3, backplane: (any Backplane)? = nil) -> WebSocketServer.Configuration {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.threads = threads
        configuration.backplane = backplane
        return configuration
    }

    /// `/{topic}` subscribes to a topic; `?as=` says as whom.
    private static func addTopics(to server: WebSocketServer) {
        server.webSocket("/{topic}", upgrade: { .accept($0.query("as")) }) { (_: WebSocket, id: String?) in Subscriber(id: id) }
    }

    private struct Subscriber: WebSocketHandler {
        let id: String?
        func opened(_ socket: WebSocket) {
            let topic = socket.parameters["topic"] ?? ""
            try? socket.subscribe(topic == "reserved" ? ClusterMessage.topic : topic, as: id.map { PresenceMember(id: $0) })
        }
        func received(_ message: Message, from socket: WebSocket) {
            socket.publish(message, to: socket.parameters["topic"] ?? "", includingSelf: true)
        }
    }

    /// Connects, and reads so many messages.
    private static func texts(_ port: Int, _ path: String, _ count: Int, whenOpen: @escaping @Sendable () -> Void) async throws -> [String]
    {
        try await WebSocketClient.connect("ws://127.0.0.1:\(port)/\(path)", configuration: .patient) { socket in
            whenOpen()
            var texts: [String] = []
            for try await message in socket {
                texts.append(message.text ?? "")
                if texts.count == count { break }
            }
            return texts
        }
    }

    /// Waits until so many have come.
    private final class Turnstile: Sendable {
        private let left: Box<Int>
        private let gate = Gate()
        init(_ count: Int) { left = Box(count) }
        func pass() {
            if left.change({
                $0 -= 1; return $0
            }) == 0 {
                gate.open()
            }
        }
        func wait() async { await gate.wait() }
    }

    @Test func everyPublishersOrderReachesEverySubscriber() async throws {
        let (subscribers, publishers, messages) = (12, 4, 200)
        try await withServer(Self.configuration(), routes: Self.addTopics) { port, server in
            let turnstile = Turnstile(subscribers)
            try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<subscribers {
                    group.addTask { try await Self.texts(port, "a", publishers * messages) { turnstile.pass() } }
                }
                await turnstile.wait()
                #expect(await server.subscriberCount(of: "a") == subscribers)
                await withTaskGroup { inner in
                    for publisher in 0..<publishers {
                        inner.addTask {
                            for number in 0..<messages {
                                server.publish(.text("\(publisher) \(number)"), to: "a")
                                if number % 10 == 0 { await Task.yield() }
                            }
                        }
                    }
                }
                for try await texts in group {
                    for publisher in 0..<publishers {
                        let own = texts.filter { $0.hasPrefix("\(publisher) ") }
                        #expect(own == (0..<messages).map { "\(publisher) \($0)" })
                    }
                }
            }
        }
    }

    /// A publisher whose task comes over to a thread must not overtake what it has sent there before.
    @Test func aTaskThatChangesThreadsKeepsItsOrder() async throws {
        let rounds = 300
        try await withServer(
            Self.configuration(threads: 2),
            routes: { server in
                Self.addTopics(to: server)
                server.webSocket("/go/now") { [weak server] socket in
                    guard let server else { return }
                    for round in 0..<rounds {
                        await Self.elsewhere { server.publish(.text("\(2 * round)"), to: "a") }
                        server.publish(.text("\(2 * round + 1)"), to: "a")
                    }
                }
            }
        ) { port, _ in
            let turnstile = Turnstile(4)
            try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<4 { group.addTask { try await Self.texts(port, "a", 2 * rounds) { turnstile.pass() } } }
                await turnstile.wait()
                try await WebSocketClient.connect("ws://127.0.0.1:\(port)/go/now", configuration: .patient) { socket in
                    for try await _ in socket {}
                }
                for try await texts in group { #expect(texts == (0..<2 * rounds).map { "\($0)" }) }
            }
        }
    }

    @concurrent private static func elsewhere(_ body: @Sendable () -> Void) async { body() }

    @Test func oneWhoDoesNotReadHoldsNobodyUp() async throws {
        let messages = 400
        var configuration = Self.configuration(threads: 1)
        configuration.connection.maxSendBuffer = 1 << 20
        try await withServer(configuration, routes: Self.addTopics) { port, server in
            // 40 MB in all: more than the system takes for somebody who does not read.
            let text = String(repeating: "x", count: 100_000)
            let lazy = try await LazyClient.connect(.makeAddressResolvingHost("127.0.0.1", port: port))
            try await lazy.upgrade("/a")
            let turnstile = Turnstile(3)
            try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<3 {
                    group.addTask {
                        // Each asks for the next one, so that all the rest has read what there is.
                        try await WebSocketClient.connect("ws://127.0.0.1:\(port)/a", configuration: .patient) { socket in
                            turnstile.pass()
                            var count = 0
                            for try await message in socket where message.text?.utf8.count == 100_000 {
                                count += 1
                                if count == messages { break }
                            }
                            return count
                        }
                    }
                }
                await turnstile.wait()
                let pacer = try await WebSocketClient.connect("ws://127.0.0.1:\(port)/a", configuration: .patient) { socket in
                    for _ in 0..<messages {
                        try await socket.send(text)
                        _ = try await socket.first { _ in true }
                    }
                    return true
                }
                #expect(pacer)
                for try await count in group { #expect(count == messages) }
            }
            // The one who did not read was cut off, and nobody else was.
            while await server.subscriberCount(of: "a") > 0 { await Task.yield() }
            try await lazy.channel.close()
        }
    }

    @Test func nodesHearEachOther() async throws {
        let cluster = InMemoryCluster()
        try await withServer(Self.configuration(threads: 2, backplane: cluster.makeNode()), routes: Self.addTopics) { firstPort, first in
            try await withServer(Self.configuration(threads: 2, backplane: cluster.makeNode()), routes: Self.addTopics) { port, second in
                let turnstile = Turnstile(2)
                async let here = Self.texts(firstPort, "a", 4) { turnstile.pass() }
                async let there = Self.texts(port, "a", 3) { turnstile.pass() }
                await turnstile.wait()
                first.publish(.text("1"), to: "a")
                first.publish(.text("no"), to: "b")
                first.publish(.text("only here"), to: "a", isLocal: true)
                first.publish(.text("2"), to: "a")
                second.publish(.text("3"), to: "a")
                let (heardHere, heardThere) = try await (here, there)
                #expect(Set(heardHere) == ["1", "only here", "2", "3"])
                #expect(Set(heardThere) == ["1", "2", "3"])
            }
        }
    }

    // MARK: Presence and counts over nodes

    /// A way to the cluster that can be cut, as a network can.
    private final class CutBackplane: Backplane {
        let inner: InMemoryBackplane
        let isCut = Box(false)
        init(_ cluster: InMemoryCluster) { inner = cluster.makeNode() }

        func start(receive: @escaping @Sendable (Publication) -> Void) {
            inner.start { [isCut] in if !isCut.value { receive($0) } }
        }
        func publish(_ publication: Publication) { if !isCut.value { inner.publish(publication) } }
        func subscribe(to filter: TopicFilter) { inner.subscribe(to: filter) }
        func unsubscribe(from filter: TopicFilter) { inner.unsubscribe(from: filter) }
        func shares(_ topic: String) -> Bool { topic != "own" }
        func stop() { inner.stop() }
    }

    private struct Pair {
        let ports: [Int]
        let servers: [WebSocketServer]
        let backplanes: [CutBackplane]
        let events: [Box<[String]>]

        func members(_ node: Int, _ topic: String = "a") -> Set<String> { Set(servers[node].members(of: topic).map(\.id)) }
        func until(_ condition: () async -> Bool) async throws {
            while await !condition() { try await Task.sleep(for: .milliseconds(5)) }
        }
        func connect(_ node: Int, _ path: String) async throws -> RawClient {
            try await RawClient.open(port: ports[node], path: "/\(path)")
        }
    }

    /// - Parameter heartbeat: unless set, so long that all is known without.
    private static func withPair(heartbeat: Duration = .seconds(1000), _ body: (Pair) async throws -> Void) async throws {
        let cluster = InMemoryCluster()
        let backplanes = [CutBackplane(cluster), CutBackplane(cluster)]
        let configurations = backplanes.map {
            var configuration = configuration(threads: 2, backplane: $0)
            configuration.backplaneHeartbeat = heartbeat
            return configuration
        }
        try await withServer(configurations[0], routes: addTopics) { firstPort, first in
            try await withServer(configurations[1], routes: addTopics) { port, second in
                let events = [Box<[String]>([]), Box<[String]>([])]
                for (server, events) in zip([first, second], events) {
                    server.onPresence { event in events.change { $0.append("\(event.kind) \(event.topic) \(event.member.id)") } }
                }
                try await body(Pair(ports: [firstPort, port], servers: [first, second], backplanes: backplanes, events: events))
            }
        }
    }

    @Test func whoIsThereIsKnownToAllNodes() async throws {
        try await Self.withPair { pair in
            let ann = try await pair.connect(0, "a?as=ann")
            let bob = try await pair.connect(1, "a?as=bob")
            // Somebody who is on both is one.
            let tabs = [try await pair.connect(0, "a?as=cat"), try await pair.connect(1, "a?as=cat")]
            let own = try await pair.connect(0, "own?as=ann")
            for node in 0..<2 { try await pair.until { pair.members(node) == ["ann", "bob", "cat"] } }
            #expect(pair.servers.map { $0.members(of: "a").count } == [3, 3])
            #expect(pair.members(0, "own") == ["ann"])
            await tabs[0].close()
            await ann.close()
            for node in 0..<2 { try await pair.until { pair.members(node) == ["bob", "cat"] } }
            await bob.close()
            await tabs[1].close()
            for node in 0..<2 {
                try await pair.until { pair.members(node) == [] && pair.events[node].value.filter { $0.hasPrefix("left a") }.count == 3 }
                let events = pair.events[node].value.filter { !$0.contains("own") }
                #expect(events.sorted() == ["ann", "bob", "cat"].flatMap { ["joined a \($0)", "left a \($0)"] }.sorted())
            }
            #expect(!pair.events[1].value.contains { $0.contains("own") }, "not shared")
            await own.close()
        }
    }

    @Test func subscribersAreCountedOverAllNodes() async throws {
        try await Self.withPair { pair in
            var clients: [RawClient] = []
            for node in [0, 1, 1] { clients.append(try await pair.connect(node, "a")) }
            for node in [0, 1] { clients.append(try await pair.connect(node, "own")) }
            for node in 0..<2 {
                try await pair.until { await pair.servers[node].subscriberCount(of: "a") == 3 }
                #expect(await pair.servers[node].subscriberCount(of: "own") == 1)
                #expect(await pair.servers[node].subscriberCount(of: "nobody") == 0)
            }
            for client in clients { await client.close() }
        }
    }

    @Test func aNodeThatIsCutOffIsGoneAndComesBack() async throws {
        try await Self.withPair(heartbeat: .milliseconds(20)) { pair in
            let ann = try await pair.connect(0, "a?as=ann")
            let bob = try await pair.connect(1, "a?as=bob")
            for node in 0..<2 { try await pair.until { pair.members(node) == ["ann", "bob"] } }
            pair.backplanes[0].isCut.value = true
            try await pair.until { pair.members(0) == ["ann"] && pair.members(1) == ["bob"] }
            // What happens meanwhile is made good.
            let cat = try await pair.connect(0, "a?as=cat")
            await ann.close()
            try await pair.until { pair.members(0) == ["cat"] }
            #expect(await pair.servers[0].subscriberCount(of: "a") == 1)
            pair.backplanes[0].isCut.value = false
            for node in 0..<2 { try await pair.until { pair.members(node) == ["bob", "cat"] } }
            await bob.close()
            await cat.close()
        }
    }

    /// A server that stops takes its members along, and is not waited for any more.
    @Test func aNodeThatStopsSaysFarewell() async throws {
        let cluster = InMemoryCluster()
        let heard = Box<[ClusterMessage]>([])
        let spy = cluster.makeNode()
        spy.start { publication in
            if let message = ClusterMessage(publication.payload) { heard.change { $0.append(message) } }
        }
        spy.subscribe(to: .topic(ClusterMessage.topic))
        try await withServer(Self.configuration(threads: 1, backplane: cluster.makeNode()), routes: Self.addTopics) { port, _ in
            let client = try await RawClient.open(port: port, path: "/a?as=ann")
            while heard.value.count < 2 { try await Task.sleep(for: .milliseconds(5)) }
            await client.close()
        }
        let ann = PresenceEntry(topic: "a", member: PresenceMember(id: "ann"))
        let said = heard.value.map(\.content).filter { if case .alive = $0 { false } else { true } }
        #expect(said == [.changed(.came(ann), number: 1), .changed(.went(topic: "a", id: "ann"), number: 2), .gone])
    }

    /// What nodes say to each other is nobody's to hear, or to say.
    @Test func theNodesOwnTopicsAreNotTheClients() async throws {
        try await Self.withPair { pair in
            let spy = try await pair.connect(0, "reserved")
            let ann = try await pair.connect(1, "a?as=ann")
            try await pair.until { pair.members(0) == ["ann"] }
            let mallory = PresenceEntry(topic: "a", member: PresenceMember(id: "mallory"))
            let forged = ClusterMessage(node: 1, .state([mallory], number: 1, part: 0, isLast: true))
            pair.servers[1].publish(.binary(forged.encoded), to: ClusterMessage.topic)
            await spy.close()
            try await pair.until { pair.servers[0].statistics.open == 0 }
            let bob = try await pair.connect(1, "a?as=bob")
            try await pair.until { pair.members(0).contains("bob") }
            #expect(pair.members(0) == ["ann", "bob"])
            #expect(spy.received.isEmpty)
            await ann.close()
            await bob.close()
        }
    }

    @Test func presenceIsOfTheWholeServer() async throws {
        try await withServer(Self.configuration(), routes: Self.addTopics) { port, server in
            let events = Box<[String]>([])
            let done = Gate()
            server.onPresence { event in
                let count = events.change {
                    $0.append("\(event.kind) \(event.member.id)"); return $0.count
                }
                if count == 4 { done.open() }
            }
            for id in ["ann", "bob"] {
                try await WebSocketClient.connect("ws://127.0.0.1:\(port)/a?as=\(id)", configuration: .patient) { _ in
                    #expect(server.members(of: "a").map(\.id).contains(id))
                }
            }
            await done.wait()
            #expect(Set(events.value) == ["joined ann", "left ann", "joined bob", "left bob"])
            #expect(server.members(of: "a") == [])
        }
    }

    @Test func nobodyHearsWhatIsPublishedBeforeTheServerRuns() async throws {
        let server = WebSocketServer(port: 0, configuration: Self.configuration())
        server.publish(.text("1"), to: "a")
        #expect(await server.subscriberCount(of: "a") == 0)
    }

    // MARK: Readers that are too slow

    /// Of 3 MB for one who does not read, most are replaced before they leave: the system would hold them all.
    @Test func whatIsReplacedDoesNotWaitWithTheSystem() async throws {
        let count = 30
        try await withServer(
            Self.configuration(threads: 1),
            routes: { server in
                server.webSocket("/prices") { socket in
                    try socket.subscribe("prices", whenSlow: .latest)
                    for try await _ in socket {}
                }
            }
        ) { port, server in
            let client = try await RawClient.open(port: port, path: "/prices", reads: false)
            while await server.subscriberCount(of: "prices") < 1 { await Task.yield() }
            for number in 1...count {
                server.publish(.text(String(repeating: ".", count: 100_000) + "[\(number)]"), to: "prices")
                await server.waitUntilDelivered()
            }
            try await client.readOn()
            var received = 0
            await client.read { bytes in
                received = bytes.count
                return bytes.suffix(4).elementsEqual("[\(count)]".utf8)
            }
            #expect((1..<1_500_000).contains(received))
            await client.close()
        }
    }

    // MARK: Threads that are too slow

    /// A producer that waits now and then is never too fast, however little may wait.
    @Test func whoWaitsLosesNothing() async throws {
        var configuration = Self.configuration(threads: 2)
        configuration.maxPublicationBacklog = 100_000
        let count = 5000
        try await withServer(configuration, routes: Self.addTopics) { port, server in
            let turnstile = Turnstile(4)
            try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<4 { group.addTask { try await Self.texts(port, "a", count) { turnstile.pass() } } }
                await turnstile.wait()
                for number in 0..<count {
                    server.publish(.text("\(number)"), to: "a")
                    // A message holds about 600 bytes.
                    if number % 100 == 0 { await server.waitUntilDelivered() }
                }
                for try await texts in group { #expect(texts == (0..<count).map { "\($0)" }) }
            }
        }
    }

    @Test func aServerThatDoesNotRunHasDeliveredAll() async {
        await WebSocketServer(port: 0, configuration: Self.configuration()).waitUntilDelivered()
    }

    /// Two threads, each of which publishes without a pause to the other's subscriber: neither waits for the other, what is too much is
    /// dropped, and the last message comes.
    @Test func threadsThatFloodEachOtherGoOn() async throws {
        var configuration = Self.configuration(threads: 2)
        // More than the backlog by far, and not more than a sanitizer's slow machine does in time.
        configuration.maxPublicationBacklog = 5000
        let rounds = 2000
        let turnstile = Turnstile(2)
        try await withServer(
            configuration,
            routes: { server in
                server.webSocket("/{own}/{other}") { (socket: WebSocket) in
                    try? socket.subscribe(socket.parameters["own"] ?? "", whenSlow: .latest)
                    return Flooder(rounds: rounds)
                }
            }
        ) { port, _ in
            try await withThrowingTaskGroup(of: String?.self) { group in
                for path in ["a/b", "b/a"] {
                    group.addTask {
                        try await WebSocketClient.connect("ws://127.0.0.1:\(port)/\(path)", configuration: .patient) { socket in
                            turnstile.pass()
                            await turnstile.wait()
                            try await socket.send("flood")
                            var last: String?
                            for try await message in socket {
                                last = message.text
                                if last == "\(rounds - 1)" { break }
                            }
                            return last
                        }
                    }
                }
                for try await last in group { #expect(last == "\(rounds - 1)") }
            }
        }
    }

    /// Publishes many messages at once.
    private struct Flooder: WebSocketHandler {
        let rounds: Int
        func opened(_ socket: WebSocket) {}
        func received(_ message: Message, from socket: WebSocket) {
            for round in 0..<rounds { socket.publish(.text("\(round)"), to: socket.parameters["other"] ?? "") }
        }
    }
}

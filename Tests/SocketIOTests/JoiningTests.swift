// On the way into a namespace: which namespaces there are, what a socket leaves behind that is not let in, and clients that come and go while
// middlewares run. ClientConnection.swift, SocketIONamespace.swift, SocketIOServer.swift.

import EngineIO
import NIOConcurrencyHelpers
import TestSupport
import Testing
import WebSockets

@testable import SocketIO

/// Waits for something that comes about without a message.
private func eventually(_ condition: () async throws -> Bool) async rethrows -> Bool {
    for _ in 0..<3000 {
        if try await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return false
}

/// Middlewares that wait until a test decides, each by its number.
private final class Turnstile: Sendable {
    private struct Contents {
        var count = 0
        var decisions: [Int: Bool] = [:]
        var waiting: [Int: CheckedContinuation<Bool, Never>] = [:]
    }

    private let contents = NIOLockedValueBox(Contents())
    let notes = Notes()

    /// Waits for the decision, whether or not the task is cancelled.
    func pass() async -> Bool {
        let number = contents.withLockedValue { contents in
            defer { contents.count += 1 }
            return contents.count
        }
        notes.add("\(number)")
        return await withCheckedContinuation { continuation in
            let decision = contents.withLockedValue { contents in
                if contents.decisions[number] == nil { contents.waiting[number] = continuation }
                return contents.decisions[number]
            }
            if let decision { continuation.resume(returning: decision) }
        }
    }

    func decide(_ number: Int, _ mayPass: Bool) {
        let waiting = contents.withLockedValue { contents in
            contents.decisions[number] = mayPass
            return contents.waiting.removeValue(forKey: number)
        }
        waiting?.resume(returning: mayPass)
    }
}

@Suite(.serialized, .timeLimit(.minutes(3))) struct JoiningTests {
    // MARK: Parents

    /// How a namespace whose name fits a pattern comes to be.
    enum Birth: CaseIterable {
        /// The program asks for it, and nobody has joined.
        case program
        case programWithoutSlash
        case client
        /// The program asks for it while a client that joins it is being asked about.
        case both
        /// Its last client has left, it was removed, and the program asks for it.
        case programAfterCleanup
        case clientAfterCleanup
        /// The only one that wanted to join was refused.
        case programAfterRefusal
    }

    @Test(arguments: Birth.allCases, [false, true])
    func allChildrenMeetTheirParentsMiddlewares(birth: Birth, middlewaresComeLater: Bool) async throws {
        try await withSocketIO {
            $0.cleanupEmptyChildNamespaces = true
        } prepare: { io, _ in
            _ = io.of(matching: /\/dyn-\d+/)
        } _: { bench in
            let (io, notes) = (bench.io, bench.notes)
            let parent = io.of(matching: /\/child-\d+/)
            func prepare() {
                parent.use { socket in
                    guard socket.handshake.auth["good"] == true else { throw SocketIOError("no") }
                }
                parent.onConnection { notes.add("joined \($0.namespace.name)") }
            }
            if !middlewaresComeLater { prepare() }
            try await bear("/child-7", birth, bench)
            if middlewaresComeLater { prepare() }
            let before = notes.lines.count
            let client = try await bench.join()
            client.send("0/child-7,")
            #expect(await client.next() == #"4/child-7,{"message":"no"}"#)
            try await client.join("/child-7", auth: #"{"good":true}"#)
            #expect(await notes.wait(before + 1).last == "joined /child-7")
        }
    }

    private func bear(_ name: String, _ birth: Birth, _ bench: SocketIOBench) async throws {
        let io = bench.io
        let client = try await bench.join()
        switch birth {
        case .program: _ = io.of(name)
        case .programWithoutSlash: _ = io.of(String(name.dropFirst()))
        case .client:
            let client = try await bench.join(name, auth: #"{"good":true}"#)
            try await client.join()
        case .both:
            async let made = Task { io.of(name) }.value
            try await client.join(name, auth: #"{"good":true}"#)
            #expect(await made === io.of(name))
            client.send("1\(name),")
            await client.expectSilence()
        case .programAfterCleanup, .clientAfterCleanup:
            try await client.join(name, auth: #"{"good":true}"#)
            client.send("1\(name),")
            await client.expectSilence()
            #expect(io.existingNamespace(name) == nil)
            if birth == .programAfterCleanup { _ = io.of(name) } else { try await client.join(name, auth: #"{"good":true}"#) }
        case .programAfterRefusal:
            client.send("0\(name),")
            _ = await client.next()
            _ = io.of(name)
        }
    }

    // As in Node: what exists is not changed, and a closure that wants to know who comes is asked for clients only.
    @Test func whatWasThereBeforeThePatternAndWhatAClosureAcceptsIsTheProgramsOwn() async throws {
        try await withSocketIO { bench in
            let io = bench.io
            let before = io.of("/child-1")
            io.of(matching: /\/child-\d+/).use { _ in throw SocketIOError("no") }
            io.of { name, _, _ in name == "/asked" }.use { _ in throw SocketIOError("no") }
            let asked = io.of("/asked")
            #expect(before.parent == nil && asked.parent == nil)
            let client = try await bench.join("/child-1")
            try await client.join("/asked")
            client.send("0/child-2,")
            #expect(await client.next() == #"4/child-2,{"message":"no"}"#)
        }
    }

    @Test func theFirstPatternThatFitsIsTheParent() async throws {
        try await withSocketIO { bench in
            let (first, second) = (bench.io.of(matching: /\/a.*/), bench.io.of(matching: /\/ab.*/))
            #expect(bench.io.of("/abc").parent === first)
            #expect(bench.io.of("/b").parent == nil)
            #expect(first.children.map(\.name) == ["/abc"] && second.children.isEmpty)
        }
    }

    // MARK: Namespaces that are made for clients end with them

    /// Clients that do not get in, each in its own way.
    @Test func namespacesOfClientsThatAreNotLetInAreRemoved() async throws {
        let turnstile = Turnstile()
        try await withSocketIO {
            $0.cleanupEmptyChildNamespaces = true
        } prepare: { io, _ in
            io.of(matching: /\/refused-\d+/).use { _ in throw SocketIOError("no") }
            io.of(matching: /\/broken-\d+/).use { _ in throw CancellationError() }
            io.of(matching: /\/slow-\d+/).use { _ in if await !turnstile.pass() { throw SocketIOError("no") } }
            io.of(matching: /\/leaves-\d+/).use { $0.disconnect() }
        } _: { bench in
            let client = try await bench.join()
            for number in 0..<20 {
                client.send("0/refused-\(number),", "0/broken-\(number),", "0/leaves-\(number),")
                for _ in 0..<3 { #expect(await client.next()?.contains("-\(number),") == true) }
            }
            let other = try await bench.open()
            for number in 0..<3 { other.send("0/slow-\(number),") }
            await turnstile.notes.wait(3)
            turnstile.decide(0, false)
            #expect(await other.next()?.hasPrefix("4/slow-") == true)
            other.send("1/slow-0,", "1/slow-1,", "1/slow-2,")
            turnstile.decide(1, true)
            turnstile.decide(2, true)
            let gone = try await bench.open()
            gone.send("0/slow-9,")
            await turnstile.notes.wait(4)
            gone.close()
            turnstile.decide(3, true)
            #expect(await eventually { bench.io.namespaceNames == ["/"] }, "\(bench.io.namespaceNames)")
        }
    }

    // One that waits for a middleware is somebody: the namespace stays for it.
    @Test func aNamespaceIsNotRemovedUnderWhoIsOnTheWay() async throws {
        let turnstile = Turnstile()
        try await withSocketIO {
            $0.cleanupEmptyChildNamespaces = true
        } prepare: { io, _ in
            io.of(matching: /\/room/).use { socket in
                if socket.handshake.auth["slow"] == true { _ = await turnstile.pass() }
            }
        } _: { bench in
            let slow = try await bench.open()
            slow.send(#"0/room,{"slow":true}"#)
            await turnstile.notes.wait(1)
            let namespace = try #require(bench.io.existingNamespace("/room"))
            let quick = try await bench.join("/room")
            quick.send("1/room,")
            try await quick.join()
            #expect(bench.io.existingNamespace("/room") === namespace)
            turnstile.decide(0, true)
            #expect(await slow.next()?.hasPrefix("0/room,") == true)
            #expect(bench.io.existingNamespace("/room") === namespace && namespace.socketCount == 1)
            bench.io.of("/room").emit("hello")
            #expect(await slow.next() == #"2/room,["hello"]"#)
        }
    }

    // MARK: What is left of those who are not let in

    /// How a client does not become a member.
    enum Refusal: CaseIterable { case refused, thrown, gone, connectTimeout, serverCloses, programDisconnects, withdrawn }

    @Test(arguments: Refusal.allCases) func nothingIsLeftOfWhoIsNotLetIn(refusal: Refusal) async throws {
        let turnstile = Turnstile()
        let kept = NIOLockedValueBox<SocketIOSocket?>(nil)
        try await withSocketIO {
            if refusal == .connectTimeout { $0.connectTimeout = .milliseconds(50) }
        } prepare: { io, notes in
            io.of("/n").use { socket in
                socket.join("a", "b")
                socket.leave("b")
                notes.add("\(socket.rooms.sorted())")
                socket.setData("data")
                socket.on("event") { _ = socket.id }
                socket.onDisconnect { _ in notes.add("disconnected \(socket.id)") }
                kept.withLockedValue { $0 = socket }
                // Nobody answers: the client does not get in.
                Task {
                    do { _ = try await socket.emitWithAck("question") } catch { notes.add("\(error)") }
                }
                _ = await turnstile.pass()
                switch refusal {
                case .refused: throw SocketIOError("no")
                case .thrown: throw CancellationError()
                default: break
                }
            }
        } _: { bench in
            let namespace = bench.io.of("/n")
            let client = try await bench.open()
            client.send("0/n,")
            #expect(await client.next() == #"2/n,0["question"]"#)
            await turnstile.notes.wait(1)
            weak let socket = kept.withLockedValue { $0 }
            if refusal != .connectTimeout {
                // Not a member yet: it counts nowhere, and what is said to its rooms is not for it.
                try await expectNobody(namespace)
                namespace.to("a").emit("secret")
                bench.io.of("/n").emit("secret")
            }
            switch refusal {
            case .refused, .thrown:
                turnstile.decide(0, true)
                #expect(await client.next()?.hasPrefix(#"4/n,{"message":"#) == true)
            case .gone:
                client.close()
                #expect(await client.next() == "closed")
            case .connectTimeout: #expect(await client.next() == "closed")
            case .serverCloses:
                bench.io.close()
                #expect(await client.next() == "closed")
            case .programDisconnects:
                socket?.disconnect()
                #expect(await client.next() == "1/n,")
            case .withdrawn: client.send("1/n,")
            }
            // Also while the middleware goes on, which may be long after.
            #expect(await bench.notes.wait(2) == [#"["a"]"#, "the socket has been disconnected"])
            try await expectNobody(namespace)
            #expect(socket?.join("c") == false && socket?.rooms == [] && socket?.isConnected == false)
            turnstile.decide(0, true)
            kept.withLockedValue { $0 = nil }
            #expect(await eventually { socket == nil }, "it is freed")
            try await expectNobody(namespace)
            if [.refused, .thrown, .programDisconnects, .withdrawn].contains(refusal) {
                try await client.join()
                await client.expectSilence()
            }
            #expect(bench.notes.lines.count == 2)
        }
    }

    private func expectNobody(_ namespace: SocketIONamespace) async throws {
        #expect(namespace.socketCount == 0 && namespace.adapter.allRooms == [:])
        #expect(try await namespace.fetchSockets().isEmpty)
        #expect(try await namespace.to("a").fetchSockets().isEmpty)
        #expect(try await namespace.to("a").emitWithAck("anybody") == [], "without a timeout")
    }

    @Test func roomsOfMiddlewaresAreJoinedOnceTheSocketIsIn() async throws {
        try await withSocketIO {
            $0.maxRooms = 2
        } prepare: { io, notes in
            io.of("/n").onRoomEvent { notes.add("\($0)") }
            io.of("/n").use { notes.add("\($0.join("a", $0.id)) \($0.join("a", "b", "c")) \($0.rooms.count)") }
            io.of("/n").onConnection { notes.add("\($0.rooms.count)") }
        } _: { bench in
            let client = try await bench.join("/n")
            let lines = await bench.notes.wait(6)
            #expect(lines.first == "true false 2" && lines.last == "3" && lines.filter { $0.hasPrefix("join") }.count == 2)
            #expect(bench.log.lines.filter { $0.contains("limit maxRooms") }.count == 1)
            bench.io.of("/n").to("a").emit("hello")
            #expect(await client.next() == #"2/n,["hello"]"#)
        }
    }

    // MARK: Clients that come and go

    /// What happens to a client's place in a namespace whose middleware waits.
    private enum Step: Character, CaseIterable { case connect = "C", disconnect = "D", letIn = "I", refuse = "R" }

    /// All orders of five steps that begin with a CONNECT.
    private static let orders: [[Step]] = (0..<4).reduce([[.connect]]) { orders, _ in
        orders.flatMap { order in Step.allCases.map { order + [$0] } }
    }

    // Each CONNECT is answered by itself, as in Node; the connection and the other namespaces go on. What ends the connection there and here
    // is a CONNECT of a member.
    @Test func aClientMayComeAndGoWhileMiddlewaresRun() async throws {
        let turnstile = Turnstile()
        try await withSocketIO { _ in
        } prepare: { io, _ in
            io.of("/slow").use { _ in if await !turnstile.pass() { throw SocketIOError("no") } }
        } _: { bench in
            var first = 0
            for order in Self.orders { first = try await run(order, from: first, turnstile, bench) }
        }
    }

    /// - Returns: the number of the next middleware.
    private func run(_ order: [Step], from first: Int, _ turnstile: Turnstile, _ bench: SocketIOBench) async throws -> Int {
        let text = String(order.map(\.rawValue))
        let client = try await bench.join()
        var next = first
        var pending: [Int] = []
        var (isIn, hasLeft) = (false, false)
        for step in order {
            switch step {
            // A CONNECT of a member, or the DISCONNECT of a stranger.
            case .connect where isIn, .disconnect where !isIn && !hasLeft && pending.isEmpty:
                client.send(step == .connect ? "0/slow," : "1/slow,")
                #expect(await client.next() == "closed", "\(text)")
                for number in first..<next { turnstile.decide(number, true) }
                return next
            case .connect:
                client.send("0/slow,")
                next += 1
                await turnstile.notes.wait(next)
                pending.append(next - 1)
            case .disconnect:
                client.send("1/slow,")
                (pending, isIn, hasLeft) = ([], false, true)
            case .letIn, .refuse:
                guard !pending.isEmpty else { break }
                turnstile.decide(pending.removeFirst(), step == .letIn)
                #expect(
                    await client.next()?.hasPrefix(step == .letIn ? #"0/slow,{"sid":"# : #"4/slow,{"message":"no"}"#) == true, "\(text)")
                if step == .letIn { (isIn, hasLeft) = (true, false) }
            }
            await client.expectSilence()
        }
        // Those that it no longer waits for find nobody.
        for number in first..<next where !pending.contains(number) { turnstile.decide(number, true) }
        let namespace = bench.io.of("/slow")
        #expect(await eventually { namespace.socketCount == (isIn ? 1 : 0) }, "\(text)")
        namespace.emit("hello")
        if isIn { #expect(await client.next() == #"2/slow,["hello"]"#, "\(text)") }
        await client.expectSilence()
        client.close()
        for number in pending { turnstile.decide(number, true) }
        #expect(await eventually { namespace.socketCount == 0 && bench.io.main.socketCount == 0 }, "\(text)")
        return next
    }

    // Two places at a time are one too many: the first is left, without a word.
    @Test func whoIsLetInLastTakesThePlaceOfTheOther() async throws {
        let turnstile = Turnstile()
        try await withSocketIO { _ in
        } prepare: { io, notes in
            io.of("/slow").use { _ in _ = await turnstile.pass() }
            io.of("/slow").onConnection { socket in
                notes.add("in")
                socket.onDisconnect { notes.add("\($0)") }
                socket.on("who") { socket.id }
            }
        } _: { bench in
            let client = try await bench.join()
            client.send("0/slow,", "0/slow,")
            await turnstile.notes.wait(2)
            turnstile.decide(1, true)
            let first = try #require(await client.next())
            turnstile.decide(0, true)
            let second = try #require(await client.next())
            #expect(first != second)
            client.send(#"2/slow,1["who"]"#)
            #expect(await client.next() == second.replacing(#"0/slow,{"sid":"#, with: "3/slow,1[").replacing("}", with: "]"))
            #expect(bench.notes.lines == ["in", "client namespace disconnect", "in"])
            #expect(bench.io.of("/slow").socketCount == 1)
        }
    }

    @Test func whoAsksOverAndOverIsLimited() async throws {
        let turnstile = Turnstile()
        try await withSocketIO {
            $0.maxNamespaces = 3
        } prepare: { io, _ in
            io.of("/slow").use { _ in _ = await turnstile.pass() }
        } _: { bench in
            let client = try await bench.join()
            client.send("0/slow,", "0/slow,", "0/slow,")
            #expect(await client.next() == #"4/slow,{"message":"too many namespaces"}"#)
            await turnstile.notes.wait(2)
            for number in 0..<2 { turnstile.decide(number, true) }
        }
    }

    // What the program says to a server that is closed makes no way in.
    @Test func aClosedServerLetsNobodyIn() async throws {
        try await withSocketIO { bench in
            bench.io.close()
            bench.io.main.emit("late")
            #expect(bench.io.namespaceNames == [])
            #expect(bench.io.of("/late").reserve() && bench.io.existingNamespace("/late") == nil)
        }
    }
}

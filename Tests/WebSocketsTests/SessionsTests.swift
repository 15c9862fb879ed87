import HTTPTypes
import NIOCore
import Synchronization
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct SessionsTests {
    /// A clock that stands still unless somebody sleeps or the test moves it.
    private final class ManualTiming: Sendable {
        private let state = Mutex<(now: NIODeadline, pauses: [Duration])>((.uptimeNanoseconds(1), []))
        var pauses: [Duration] { state.withLock { $0.pauses } }
        func advance(_ duration: Duration) { state.withLock { $0.now = $0.now + TimeAmount(duration) } }

        var timing: Sessions.Timing {
            .init(
                now: { self.state.withLock { $0.now } }, random: { 1 },
                sleep: { duration in
                    try Task.checkCancellation()
                    self.state.withLock { $0.pauses.append(duration) }
                })
        }
    }

    private let clock = ManualTiming()

    private func sessions(
        _ url: String, _ reconnect: Reconnect = Reconnect(), _ configuration: WebSocketClient.Configuration = .patient
    ) -> Sessions {
        Sessions(url: url, configuration: configuration, reconnect: reconnect, timing: clock.timing)
    }

    private static func accept(_ peer: PeerConnection) async throws {
        try await peer.upgrade()
        try await peer.echo()
    }

    @Test func connectsAgainWhenThePeerDrops() async throws {
        let count = Atomic(0)
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            let number = count.add(1, ordering: .relaxed).newValue
            try await peer.writeFrame(1, Array("\(number)".utf8))
            if number == 3 { try await peer.echo() }
        } while: { server in
            var greetings: [String?] = []
            for try await socket in sessions(server.url) {
                do {
                    for try await message in socket {
                        greetings.append(message.text)
                        if greetings.count == 3 { break }
                    }
                } catch is ConnectionClosed {
                    continue
                }
                break
            }
            #expect(greetings == ["1", "2", "3"])
            #expect(clock.pauses == [.milliseconds(500), .seconds(1)])
        }
    }

    @Test func closesTheLastConnectionBeforeTheNext() async throws {
        let (codes, code) = AsyncStream<Int?>.makeStream()
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            code.yield(try await peer.echo())
        } while: { server in
            var last: WebSocket?
            for try await socket in sessions(server.url) {
                #expect(last?.readyState ?? .closed == .closed)
                if last != nil { break }
                last = socket
            }
            var seen = codes.makeAsyncIterator()
            #expect(await seen.next() == 1000)
            // Leaving the loop closes, too.
            #expect(await seen.next() == 1000)
        }
    }

    @Test func forgetsFailuresAfterASessionThatLasted() async throws {
        try await ScriptedPeer.serve(Self.accept) { server in
            var count = 0
            for try await _ in sessions(server.url) {
                count += 1
                if count == 3 { clock.advance(.seconds(10)) }
                if count == 4 { break }
            }
            #expect(clock.pauses == [.milliseconds(500), .seconds(1), .milliseconds(500)])
        }
    }

    @Test(arguments: [401, 403, 404, 501])
    func endsOnAPermanentRefusal(status: Int) async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            try await peer.write("HTTP/1.1 \(status) x\r\nContent-Length: 0\r\n\r\n")
            await peer.readToEnd()
        } while: { server in
            let error = await #expect(throws: HandshakeRefused.self) { for try await _ in sessions(server.url) {} }
            #expect(error?.response.status.code == status)
            #expect(clock.pauses == [])
        }
    }

    @Test func waitsAsLongAsTheServerAsks() async throws {
        let count = Atomic(0)
        try await ScriptedPeer.serve { peer in
            if count.add(1, ordering: .relaxed).newValue == 1 {
                _ = try await peer.readHead()
                try await peer.write("HTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
                return await peer.readToEnd()
            }
            try await Self.accept(peer)
        } while: { server in
            for try await _ in sessions(server.url) { break }
            #expect(clock.pauses == [.seconds(7)])
        }
    }

    @Test func asksForHeadersEachTime() async throws {
        let tokens = Mutex<[String?]>([])
        let count = Atomic(0)
        try await ScriptedPeer.serve { peer in
            let head = try await peer.readHead()
            tokens.withLock { $0.append(field("Authorization", in: head)) }
            try await peer.write(PeerConnection.agreement(to: head))
            try await peer.echo()
        } while: { server in
            let reconnect = Reconnect(headers: { [.authorization: "\(count.add(1, ordering: .relaxed).newValue)"] })
            var sessionCount = 0
            for try await _ in sessions(server.url, reconnect, .init(headers: [.authorization: "old"])) {
                sessionCount += 1
                if sessionCount == 2 { break }
            }
        }
        #expect(tokens.withLock { $0 } == ["1", "2"])
    }

    @Test func triesAgainWhenTheHeadersFail() async throws {
        struct TokenServiceIsDown: Error {}
        let count = Atomic(0)
        try await ScriptedPeer.serve(Self.accept) { server in
            let reconnect = Reconnect(headers: {
                if count.add(1, ordering: .relaxed).newValue < 3 { throw TokenServiceIsDown() }
                return [:]
            })
            for try await _ in sessions(server.url, reconnect) { break }
            #expect(clock.pauses.count == 2)
        }
    }

    @Test func givesUpAfterSoManyFailures() async throws {
        let silent = try SilentPort()
        defer { withExtendedLifetime(silent) {} }
        let port = silent.number
        let reconnect = Reconnect(backoff: Backoff(maxFailures: 3))
        let error = await #expect(throws: ConnectError.self) { for try await _ in sessions("ws://127.0.0.1:\(port)", reconnect) {} }
        #expect(error?.kind == .unreachable)
        #expect(clock.pauses.count == 2)
    }

    @Test func endsOnABadAddress() async {
        await #expect(throws: InvalidURL.self) { for try await _ in sessions("nonsense") {} }
    }

    @Test func endsWhenCancelled() async throws {
        let (opens, open) = AsyncStream<Void>.makeStream()
        let (codes, code) = AsyncStream<Int?>.makeStream()
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            code.yield(try await peer.echo())
        } while: { server in
            let all = sessions(server.url)
            let task = Task {
                for try await socket in all {
                    open.yield()
                    for try await _ in socket {}
                }
            }
            for await _ in opens.prefix(1) { task.cancel() }
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(await codes.first { _ in true } == 1000)
        }
    }

    @Test func endsWhenCancelledInAPause() async throws {
        let silent = try SilentPort()
        defer { withExtendedLifetime(silent) {} }
        let port = silent.number
        let (pauses, pause) = AsyncStream<Void>.makeStream()
        let timing = Sessions.Timing(now: { .now() }, random: { 1 }) { _ in
            pause.yield()
            try await Task.sleep(for: .seconds(3600))
        }
        let all = Sessions(url: "ws://127.0.0.1:\(port)", configuration: .init(), reconnect: .init(), timing: timing)
        let task = Task { for try await _ in all {} }
        for await _ in pauses.prefix(1) { task.cancel() }
        await #expect(throws: CancellationError.self) { try await task.value }
    }
}

@Suite struct ReconnectTests {
    @Test(arguments: [
        (400, false), (401, false), (403, false), (404, false), (408, true), (425, true), (426, false), (429, true), (500, true),
        (501, false),
        (502, true), (503, true), (504, true), (505, false), (200, false), (302, false),
    ])
    func tellsRefusalsApart(status: Int, isTransient: Bool) {
        let refusal = HandshakeRefused(url: "", response: .init(status: .init(code: status)), body: ByteBuffer(), isBodyTruncated: false)
        #expect(Reconnect.isTransient(refusal) == isTransient)
    }

    @Test func tellsErrorsApart() throws {
        let url = try WebSocketURL("ws://h")
        for kind in [ConnectError.Kind.unresolvedHost, .unreachable, .proxy, .timeout, .connectionLost] {
            #expect(Reconnect.isTransient(ConnectError(kind, url, "")), "\(kind)")
        }
        for kind in [ConnectError.Kind.tls, .tlsConfiguration, .invalidResponse, .redirect] {
            #expect(!Reconnect.isTransient(ConnectError(kind, url, "")), "\(kind)")
        }
        #expect(!Reconnect.isTransient(HandshakeFailure(.accept, "")))
        #expect(!Reconnect.isTransient(HandshakeUsageError.invalidPath))
        #expect(!Reconnect.isTransient(CancellationError()))
    }

    @Test(arguments: [("7", 7), ("0", 0), ("-1", 0), ("x", 0), ("99999999999", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)])
    func readsHowLongTheServerAsks(value: String, seconds: Int) {
        let response = HTTPResponse(status: .serviceUnavailable, headerFields: [.retryAfter: value])
        let refusal = HandshakeRefused(url: "", response: response, body: ByteBuffer(), isBodyTruncated: false)
        #expect(Reconnect.pause(asked: refusal) == .seconds(seconds))
    }
}

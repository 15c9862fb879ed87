import HTTPTypes
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import WebSockets

/// What becomes of a try that fails, and that nothing is left of it.
@Suite(.timeLimit(.minutes(1))) struct ClientAttemptTests {
    @Test func saysThatNothingListens() async throws {
        let silent = try SilentPort()
        defer { withExtendedLifetime(silent) {} }
        let port = silent.number
        let error = await failure("ws://127.0.0.1:\(port)/")
        #expect(error?.kind == .unreachable)
        #expect(
            error?.description == """
                cannot connect to ws://127.0.0.1:\(port)/: 127.0.0.1 cannot be reached on port \(port): \
                127.0.0.1: connection refused; nothing listens there
                """)
    }

    @Test func saysThatAHostIsUnknown() async throws {
        // RFC 6761 §6.4 keeps this name unknown for ever.
        let error = await failure("ws://no-such-host.invalid/", timeout: .seconds(60))
        #expect(error?.kind == .unresolvedHost)
        #expect(error?.description.contains("no address was found for no-such-host.invalid") == true)
    }

    @Test func namesTheStageOfATimeoutBeforeTheAnswer() async throws {
        let (ends, end) = AsyncStream<Void>.makeStream()
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            await peer.readToEnd()
            end.yield()
        } while: { server in
            let passes = await withTimeouts { timeout in
                let error = await failure(server.url, timeout: timeout)
                #expect(error?.kind == .timeout)
                #expect(error?.description.contains("it took longer than \(timeout) (timeout)") == true)
                return error?.description.contains("while the server's answer was awaited") == true
            }
            #expect(passes)
            // The channel is closed, and not just forgotten.
            for await _ in ends.prefix(1) {}
        }
    }

    @Test func namesTheStageOfATimeoutInTLS() async throws {
        try await ScriptedPeer.serve {
            await $0.readToEnd()
        } while: { server in
            let passes = await withTimeouts { timeout in
                let error = await failure("wss://127.0.0.1:\(server.port)", timeout: timeout)
                #expect(error?.kind == .timeout)
                return error?.description.contains("during the TLS handshake") == true
            }
            #expect(passes)
        }
    }

    @Test func namesTheStageOfATimeoutAtTheProxy() async throws {
        try await ScriptedPeer.serve {
            await $0.readToEnd()
        } while: { server in
            for proxy in [Proxy.http(host: "127.0.0.1", port: server.port), .socks5(host: "127.0.0.1", port: server.port)] {
                let passes = await withTimeouts { timeout in
                    let error = await failure("ws://example.com/", timeout: timeout, proxy: proxy)
                    #expect(error?.kind == .timeout)
                    return error?.description.contains("while the proxy opened the tunnel") == true
                }
                #expect(passes)
            }
        }
    }

    @Test func hasOneDeadlineForAllRedirects() async throws {
        // With a deadline for each, this would never end.
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            try await peer.write("HTTP/1.1 302 x\r\nLocation: /\r\n\r\n")
            await peer.readToEnd()
        } while: { server in
            let error = await #expect(throws: ConnectError.self) {
                try await WebSocketClient.connect(
                    server.url, configuration: .init(timeout: .milliseconds(200), maxRedirects: .max)
                ) { _ in }
            }
            #expect(error?.kind == .timeout)
        }
    }

    @Test func leavesAtOnceWhenCancelled() async throws {
        let (asked, ask) = AsyncStream<Void>.makeStream()
        let (ends, end) = AsyncStream<Void>.makeStream()
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            ask.yield()
            await peer.readToEnd()
            end.yield()
        } while: { server in
            let task = Task { try await WebSocketClient.connect(server.url, configuration: .patient) { _ in } }
            for await _ in asked.prefix(1) { task.cancel() }
            await #expect(throws: CancellationError.self) { try await task.value }
            for await _ in ends.prefix(1) {}
        }
    }

    @Test func doesNotBeginWhenCancelledBefore() async throws {
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await WebSocketClient.connect("ws://127.0.0.1:1/", configuration: .patient) { _ in }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test(arguments: ["", "HTTP/1.1 101 Switch"])
    func saysThatTheServerClosed(answer: String) async throws {
        try await ScriptedPeer.serve { peer in
            _ = try await peer.readHead()
            if !answer.isEmpty { try await peer.write(answer) }
        } while: { server in
            let error = await failure(server.url)
            #expect(error?.kind == (answer.isEmpty ? .connectionLost : .invalidResponse), "\(error as Any)")
        }
    }

    @Test func saysThatTheAnswerIsNotHTTP() async throws {
        try await ScriptedPeer.serve { peer in
            try await peer.write("220 mail.example.com ESMTP\r\n")
            await peer.readToEnd()
        } while: { server in
            let error = await failure(server.url)
            #expect(error?.kind == .invalidResponse)
            #expect(error?.description.contains("is not HTTP/1.1") == true)
        }
    }

    @Test func triesAllAddressesOfAName() async throws {
        // `localhost` may be ::1 and 127.0.0.1, and only the latter listens.
        try await ScriptedPeer.serve { peer in
            try await peer.upgrade()
            try await peer.echo()
        } while: { server in
            let address = try await WebSocketClient.connect("ws://localhost:\(server.port)/", configuration: .patient) {
                $0.remoteAddress?.ipAddress
            }
            #expect(address == "127.0.0.1")
        }
    }

    private func failure(_ url: String, timeout: Duration = .seconds(60), proxy: Proxy? = nil) async -> ConnectError? {
        await #expect(throws: ConnectError.self) {
            try await WebSocketClient.connect(url, configuration: .init(proxy: proxy, timeout: timeout)) { _ in }
        }
    }
}

// The reactors of a server.

#if os(Linux)

import TestSupport
import Testing

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct ReactorsTests {
    private func configuration(_ transport: WebSocketServer.Transport, threads: Int = 2) -> WebSocketServer.Configuration {
        var configuration = WebSocketServer.Configuration.forTests()
        configuration.transport = transport
        configuration.threads = threads
        return configuration
    }

    @Test(arguments: [(2, 2), (1, 1), (0, 1)]) func thereIsOneForEachThread(asked: Int, made: Int) async throws {
        let reactors = try #require(Reactors(ServerCore(configuration(.automatic, threads: asked))))
        #expect(reactors.threads.count == made)
        await reactors.stop()
    }

    @Test func thereIsNoneWhereNIOShallServe() throws {
        #expect(Reactors(ServerCore(configuration(.nio))) == nil)
        var secure = configuration(.automatic)
        secure.tls = try TestAuthority().serverTLS(in: TestFolder())
        #expect(Reactors(ServerCore(secure)) == nil)
    }
}

#endif

// This library's client against its server, on real sockets.

import Foundation
import HTTPTypes
import NIOCore
import Synchronization
import TestSupport
import Testing
import WebSocketCore

@testable import WebSockets

@Suite(.timeLimit(.minutes(1))) struct EndToEndTests {
    @Test func echoesWhatComesWhole() async throws {
        try await serving { server in
            server.webSocket("/echo") { socket in for try await message in socket { try await socket.send(message) } }
        } while: { url in
            let messages: [Message] = [
                .text(""), .text("grüße"), .binary([UInt8](repeating: 7, count: 125)), .binary([UInt8](repeating: 8, count: 126)),
                .binary([UInt8](repeating: 9, count: 65_536)), .text(String(repeating: "ä", count: 500_000)),
            ]
            let echoed = try await WebSocketClient.connect(url + "/echo", configuration: .patient) { socket in
                for message in messages { try await socket.send(message) }
                var echoed: [Message] = []
                for try await message in socket {
                    echoed.append(message)
                    if echoed.count == messages.count { break }
                }
                return echoed
            }
            #expect(echoed == messages)
        }
    }

    @Test func agreesOnASubprotocolAndParameters() async throws {
        try await serving { server in
            server.webSocket("/room/{name}", upgrade: { _ in .accept((), subprotocol: "chat") }) { socket, _ in
                try await socket.send(socket.parameters["name"] ?? "")
            }
        } while: { url in
            let (subprotocol, text) = try await WebSocketClient.connect(
                url + "/room/a%20b", configuration: .init(subprotocols: ["other", "chat"], timeout: .seconds(60))
            ) { socket in
                for try await message in socket { return (socket.subprotocol, message.text) }
                return (nil, nil)
            }
            #expect(subprotocol == "chat")
            #expect(text == "a b")
        }
    }

    @Test func carriesTheServersRefusal() async throws {
        try await serving { server in
            server.webSocket("/", upgrade: { (_: ServerRequest) -> Upgrade<Void> in .reject(.text("members only", status: .forbidden)) }) {
                _, _ in
            }
        } while: { url in
            let refusal = await #expect(throws: HandshakeRefused.self) {
                try await WebSocketClient.connect(url + "/", configuration: .patient) { _ in }
            }
            #expect(refusal?.response.status == .forbidden)
            #expect(refusal.map { String(buffer: $0.body) } == "members only")
            let missing = await #expect(throws: HandshakeRefused.self) {
                try await WebSocketClient.connect(url + "/no", configuration: .patient) { _ in }
            }
            #expect(missing?.response.status == .notFound)
        }
    }

    @Test func saysHowTheServerClosed() async throws {
        try await serving { server in
            server.webSocket("/") { socket in try socket.close(code: CloseCode(rawValue: 4001), reason: "enough") }
        } while: { url in
            let error = await #expect(throws: ConnectionClosed.self) {
                try await WebSocketClient.connect(url + "/", configuration: .patient) { socket in for try await _ in socket {} }
            }
            #expect(
                error?.closure == Closure(code: CloseCode(rawValue: 4001), reason: "enough", initiator: .remote, isClean: true))
        }
    }

    @Test func measuresRoundTrips() async throws {
        try await serving { server in
            server.webSocket("/") { socket in for try await _ in socket {} }
        } while: { url in
            try await WebSocketClient.connect(url + "/", configuration: .patient) { socket in
                let time = try await socket.ping()
                #expect(time > .zero)
                #expect(socket.roundTripTime == time)
            }
        }
    }

    @Test func speaksTLSBothWays() async throws {
        let authority = try TestAuthority()
        let folder = FileManager.default.temporaryDirectory.appending(path: "duplex-\(UInt64.random(in: 0...UInt64.max))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func write(_ text: String, _ name: String) throws -> String {
            let file = folder.appending(path: name)
            try Data(text.utf8).write(to: file)
            return file.path
        }
        let server = try authority.identity(names: ["localhost"])
        let client = try authority.identity(names: ["client"])
        let root = try write(authority.root, "root.pem")
        let tls = ServerTLS(
            certificateChain: try write(server.certificate, "server.pem"), privateKey: try write(server.key, "server.key"),
            clientRoots: root)
        let mine = ClientTLS(
            roots: .file(root),
            identity: .files(
                certificateChain: try write(client.certificate, "client.pem"), privateKey: try write(client.key, "client.key")))
        try await serving(tls) { server in
            server.webSocket("/") { socket in for try await message in socket { try await socket.send(message) } }
        } while: { url in
            let text = try await WebSocketClient.connect(url + "/", configuration: .init(tls: mine, timeout: .seconds(60))) { socket in
                try await socket.send("secret")
                for try await message in socket { return message.text }
                return nil
            }
            #expect(text == "secret")
        }
    }

    @Test func keepsManyConnectionsApart() async throws {
        try await serving { server in
            server.webSocket("/") { socket in for try await message in socket { try await socket.send(message) } }
        } while: { url in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<50 {
                    group.addTask {
                        let expected = (0..<20).map { "\(number)-\($0)" }
                        let texts = try await WebSocketClient.connect(url + "/", configuration: .patient) { socket in
                            for text in expected { try await socket.send(text) }
                            var texts: [String] = []
                            for try await message in socket {
                                texts.append(message.text ?? "")
                                if texts.count == expected.count { break }
                            }
                            return texts
                        }
                        #expect(texts == expected)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test func comesBackToAServerThatCloses() async throws {
        let count = Atomic(0)
        try await serving { server in
            server.webSocket("/") { socket in
                try await socket.send("\(count.add(1, ordering: .relaxed).newValue)")
            }
        } while: { url in
            var texts: [String?] = []
            let sessions = Sessions(
                url: url + "/", configuration: .init(), reconnect: .init(),
                timing: .init(now: { .now() }, random: { 0 }, sleep: { _ in }))
            for try await socket in sessions {
                for try await message in socket { texts.append(message.text) }
                if texts.count == 3 { break }
            }
            #expect(texts == ["1", "2", "3"])
        }
    }

    // MARK: Helpers

    private func serving(
        _ tls: ServerTLS? = nil, _ setUp: (WebSocketServer) -> Void, while body: (String) async throws -> Void
    ) async throws {
        let server = WebSocketServer(port: 0, configuration: .init(tls: tls, threads: 1))
        setUp(server)
        let running = Task { try await server.run() }
        let address = try await server.waitUntilListening()
        defer { running.cancel() }
        try await body("\(tls == nil ? "ws://127.0.0.1" : "wss://localhost"):\(address.port ?? 0)")
        running.cancel()
        _ = try? await running.value
    }
}

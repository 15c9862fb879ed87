// What the protocol's own suite asks of a server, case by case, over real sockets: Socket.IO protocol 5, "Test suite". Its cases on Engine.IO
// are in EngineIOProtocolTests.swift.

import EngineIO
import TestSupport
import Testing

@testable import SocketIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct SocketIOProtocolTests {
    private func run<R>(
        _ adjust: (inout SocketIOConfiguration) -> Void = { _ in }, _ body: (SocketIOBench) async throws -> R
    ) async throws -> R {
        try await withSocketIO(adjust, prepare: { io, _ in Self.prepare(io) }, body)
    }

    private static func prepare(_ io: SocketIOServer) {
        for namespace in [io.main, io.of("/custom")] {
            namespace.onConnection { socket in
                socket.emit("auth", socket.handshake.auth)
                socket.on("message") { (event: SocketIOEvent) in socket.emit("message-back", arguments: Array(event.arguments)) }
                socket.on("message-with-ack") { (event: SocketIOEvent) in event.acknowledge(with: Array(event.arguments)) }
            }
        }
    }

    private func join(_ bench: SocketIOBench) async throws -> TestClient {
        let client = try await bench.join()
        #expect(await client.next() == #"2["auth",{}]"#)
        return client
    }

    // MARK: Connect

    @Test(arguments: [("/", ""), ("/", #"{"token":"123"}"#), ("/custom", ""), ("/custom", #"{"token":"abc"}"#)]) func joins(
        namespace: String, auth: String
    ) async throws {
        try await run { bench in
            let client = try await bench.join(namespace, auth: auth)
            let place = namespace == "/" ? "" : "\(namespace),"
            #expect(await client.next() == #"2\#(place)["auth",\#(auth.isEmpty ? "{}" : auth)]"#)
        }
    }

    @Test func mayNotJoinAnUnknownNamespace() async throws {
        try await run { bench in
            let client = try await bench.open()
            client.send("0/random")
            #expect(await client.next() == #"4/random,{"message":"Invalid namespace"}"#)
            // The connection is as good as before.
            try await client.join()
        }
    }

    @Test func nonsenseInsteadOfConnectCloses() async throws {
        try await run { bench in
            let client = try await bench.open()
            client.send("abc")
            #expect(await client.next() == "closed")
        }
    }

    @Test func whoJoinsNothingIsDisconnected() async throws {
        try await run {
            $0.connectTimeout = .milliseconds(50)
        } _: { bench in
            let client = try await bench.open()
            #expect(await client.next() == "closed")
        }
    }

    // MARK: Disconnect

    @Test func leavesTheMainNamespace() async throws {
        let isInTime = try await withTimeouts { interval in
            try await run {
                $0.engine.pingInterval = interval
            } _: { bench in
                let client = try await bench.open(answersHeartbeats: false)
                client.send("0", "1")
                let heard = [await client.next(), await client.next(), await client.next()]
                // The next thing to come is Engine.IO's ping, `2`, of which the client's helper takes the first letter. It may have come first.
                return heard[0]?.hasPrefix("0{") == true && heard[1] == #"2["auth",{}]"# && heard[2] == ""
            }
        }
        #expect(isInTime)
    }

    @Test func leavesACustomNamespace() async throws {
        try await run { bench in
            let client = try await join(bench)
            try await client.join("/custom")
            #expect(await client.next() == #"2/custom,["auth",{}]"#)
            client.send("1/custom", #"2["message","message to main namespace"]"#)
            #expect(await client.next() == #"2["message-back","message to main namespace"]"#)
        }
    }

    // MARK: Messages

    @Test func sendsText() async throws {
        try await run { bench in
            let client = try await join(bench)
            client.send(#"2["message",1,"2",{"3":[true]}]"#)
            #expect(await client.next() == #"2["message-back",1,"2",{"3":[true]}]"#)
        }
    }

    @Test func sendsBinary() async throws {
        try await run { bench in
            let client = try await join(bench)
            client.send(#"52-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
            client.send(binary: [1, 2, 3])
            client.send(binary: [4, 5, 6])
            #expect(await client.next() == #"52-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
            #expect(await client.next() == "[1, 2, 3]")
            #expect(await client.next() == "[4, 5, 6]")
        }
    }

    @Test func acknowledgesText() async throws {
        try await run { bench in
            let client = try await join(bench)
            client.send(#"2456["message-with-ack",1,"2",{"3":[false]}]"#)
            #expect(await client.next() == #"3456[1,"2",{"3":[false]}]"#)
        }
    }

    @Test func acknowledgesBinary() async throws {
        try await run { bench in
            let client = try await join(bench)
            client.send(#"52-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
            client.send(binary: [1, 2, 3])
            client.send(binary: [4, 5, 6])
            #expect(await client.next() == #"62-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#)
            #expect(await client.next() == "[1, 2, 3]")
            #expect(await client.next() == "[4, 5, 6]")
        }
    }

    // Beside the suite's own: rows S2, S3 and S5 of the bad inputs (CVE-2022-2421, CVE-2023-32695, CVE-2026-33151), to the end of the
    // connection and of no other.
    @Test(arguments: [
        "abc", "2{}", #"2abc["message-with-ack",1,"2",{"3":[false]}]"#, #"2[{"toString":"foo"}]"#, #"2[true,"foo"]"#, #"2[null,"bar"]"#,
        #"2["connect"]"#, #"2["disconnecting"]"#, #"511-["a"]"#, "5-", "5x-", "5", #"51-["a",{"_placeholder":true,"num":"splice"}]"#,
        #"4{"message":"no"}"#,
    ]) func nonsenseCloses(packet: String) async throws {
        try await run { bench in
            let (client, other) = (try await join(bench), try await join(bench))
            client.send(packet)
            client.send(binary: [1])
            #expect(await client.next() == "closed")
            await other.expectSilence()
            #expect(bench.log.lines.contains { $0.hasSuffix("its connection is closed") })
        }
    }

    @Test func textInTheMiddleOfBinaryCloses() async throws {
        try await run { bench in
            let client = try await join(bench)
            client.send(#"51-["message",{"_placeholder":true,"num":0}]"#, #"2["message"]"#)
            #expect(await client.next() == "closed")
        }
    }
}

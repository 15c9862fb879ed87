// `duplex connect --socketio` as a process of its own, in a pipe: what it says and how it ends.

import ArgumentParser
import EngineIO
import Foundation
import NIOCore
import SocketIO
import TestSupport
import Testing
import WebSockets

@testable import duplex

@Suite(.serialized, .timeLimit(.minutes(2))) struct ConnectSocketIOTests {
    private static let transports = ["polling", "websocket"]

    /// What a run of the command came to.
    private struct Run {
        let output: [String]
        let errors: [String]
        let code: Int32
    }

    private struct NoBinary: Error {}

    /// Runs the command, with an input that ends, or that is held open until the command ends.
    private func run(_ arguments: [String], input: Data, endsInput: Bool = true) async throws -> Run {
        var folder = Bundle.main.executableURL?.deletingLastPathComponent()
        for bundle in Bundle.allBundles where bundle.bundlePath.hasSuffix(".xctest") {
            folder = bundle.bundleURL.deletingLastPathComponent()
        }
        guard let binary = folder?.appending(path: "duplex"), FileManager.default.isExecutableFile(atPath: binary.path) else {
            throw NoBinary()
        }
        let (process, standardInput) = (Process(), Pipe())
        process.executableURL = binary
        process.arguments = ["connect", "--socketio"] + arguments
        process.standardInput = standardInput
        let (output, errors) = (reading(process, \.standardOutput), reading(process, \.standardError))
        try process.run()
        let writer = standardInput.fileHandleForWriting
        Thread.detachNewThread {
            try? writer.write(contentsOf: input)
            if endsInput { try? writer.close() }
        }
        let lines = (await lines(output), await lines(errors))
        let code = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                process.waitUntilExit()
                continuation.resume(returning: process.terminationStatus)
            }
        }
        if !endsInput { try? writer.close() }
        return Run(output: lines.0, errors: lines.1, code: code)
    }

    private func reading(_ process: Process, _ end: ReferenceWritableKeyPath<Process, Any?>) -> AsyncStream<Data> {
        let pipe = Pipe()
        process[keyPath: end] = pipe
        let (pieces, feed) = AsyncStream<Data>.makeStream()
        Thread.detachNewThread {
            while case let data = pipe.fileHandleForReading.availableData, !data.isEmpty { feed.yield(data) }
            feed.finish()
        }
        return pieces
    }

    private func lines(_ pieces: AsyncStream<Data>) async -> [String] {
        var all = Data()
        for await piece in pieces { all += piece }
        return String(decoding: all, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// What `duplex serve` serves on Socket.IO, and events of a server that does as it likes.
    private func serving(_ body: (String, Notes) async throws -> Void) async throws {
        let notes = Notes()
        let io = SocketIOExample.make(SocketIOConfiguration())
        io.use { socket in
            if socket.handshake.auth["bad"] != nil {
                throw SocketIOError("not you", data: ["code": 42])
            }
        }
        io.onConnection { _ in notes.add("connected") }
        io.main.on("never") { (_: SocketIOSocket, _: SocketIOEvent) in }
        io.main.on("kick") { (socket: SocketIOSocket, _: SocketIOEvent) in socket.disconnect() }
        io.main.on("kick all") { (socket: SocketIOSocket, _: SocketIOEvent) in socket.disconnect(closingConnection: true) }
        io.main.on("drop") { (socket: SocketIOSocket, _: SocketIOEvent) in socket.connection.close() }
        let server = WebSocketServer(port: 0, configuration: .init(threads: 1, drainTimeout: .zero))
        server.mount(io)
        let running = Task { try await server.run() }
        let result: Result<Void, any Error>
        do {
            result = .success(try await body("http://127.0.0.1:\(try await server.waitUntilListening().port ?? 0)", notes))
        } catch {
            result = .failure(error)
        }
        running.cancel()
        _ = try? await running.value
        try result.get()
    }

    @Test(arguments: transports) func theExamplesOfTheHelpAreAnswered(transport: String) async throws {
        // As they stand there, so that neither changes without the other.
        let help = Connect.configuration.discussion
        for example in ["add 1, 2", #""chat message" {"text": "hello"}"#] { #expect(help.contains(example)) }
        let named = Serve.configuration.discussion
        #expect(named.contains("echo, add numbers, join and leave a room, say something in a room, send a chat message to everyone"))
        let input = """
            add 1, 2
            "chat message" {"text": "hello"}
            echo 1, "x"
            join "room"
            say "room", [5]
            leave "room"
            add 0.5, 1

            """
        try await serving { url, _ in
            let run = try await run(["--transport", transport, url], input: Data(input.utf8))
            #expect(run.code == 0, "\(run)")
            #expect(
                run.output.filter { $0.hasPrefix("ack ") } == [
                    "ack add: 3", "ack chat message: ", #"ack echo: 1, "x""#, "ack join: ", "ack say: ", "ack leave: ",
                    "ack add: 1.5",
                ], "\(run)")
            for line in [#""chat message" {"text":"hello"}"#, #"echo 1, "x""#, "say [5]"] { #expect(run.output.contains(line), "\(run)") }
        }
    }

    @Test(arguments: transports) func whatIsNotAcknowledgedIsReported(transport: String) async throws {
        try await serving { url, notes in
            let run = try await run(
                ["--transport", transport, "--ack-timeout", "0.5", "--wait", "0", url], input: Data("add 1, 2\n\nnever\nunknown 1\n".utf8))
            #expect(run.code == 1)
            #expect(run.output == ["ack add: 3"])
            for (number, event) in [(3, "never"), (4, "unknown")] {
                #expect(
                    run.errors.contains(#"duplex: line \#(number): no acknowledgement of "\#(event)" came within 0.5 s (--ack-timeout)"#),
                    "\(run)")
            }
            let asksForNone = try await self.run(
                ["--transport", transport, "--ack-timeout", "0", url], input: Data("echo 7\nnever\n".utf8))
            #expect(asksForNone.code == 0 && asksForNone.output == ["echo 7"], "\(asksForNone)")
        }
    }

    /// A connection that ends before the acknowledgement, however it ends, is told, and the status is 1.
    @Test(arguments: transports, ["kick", #""kick all""#, "drop"]) func aConnectionThatEndsFirstIsReported(
        transport: String, event: String
    ) async throws {
        try await serving { url, notes in
            for endsInput in event == "drop" ? [true] : [true, false] {
                let before = notes.lines.count
                let run = try await run(
                    ["--transport", transport, "--wait", "0", url], input: Data("add 1, 2\n\(event)\n".utf8), endsInput: endsInput)
                #expect(run.code == 1)
                #expect(run.output == ["ack add: 3"])
                let name = event.filter { $0 != "\"" }
                #expect(run.errors.contains("duplex: line 2: \"\(name)\" was not acknowledged: the connection ended first"), "\(run)")
                guard event != "drop" else { continue }
                #expect(run.errors.contains("the server disconnected this client, which does not connect again by itself"), "\(run)")
                #expect(notes.lines.count == before + 1, "it connected again")
            }
        }
    }

    @Test(arguments: transports) func aRefusalIsShownWhole(transport: String) async throws {
        try await serving { url, _ in
            let run = try await run(["--transport", transport, "--auth", #"{"bad":true}"#, url], input: Data("add 1, 2\n".utf8))
            #expect(run.code == 1 && run.output == [])
            #expect(run.errors.last == #"duplex: the server refused the connection: not you, with the data {"code":42}"#, "\(run)")
        }
    }

    /// Lines at random, good and bad: each good one is acknowledged once and in order, each bad one is reported by its number, and the
    /// status tells whether there was one.
    @Test(arguments: transports) func aBadLineIsReportedAndTheSessionGoesOn(transport: String) async throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        try await serving { url, _ in
            for round in 0..<3 {
                var (input, sums, bad) = (Data(), [String](), [Int]())
                let lines = Int.random(in: 1...200, using: &random)
                for number in 1...lines {
                    switch Int.random(in: 0..<(round == 0 ? 2 : 12), using: &random) {
                    case 0: break
                    case 11 where bad.count < 20:
                        bad.append(number)
                        let faults = [
                            Data("add {oops".utf8), Data("connect 1".utf8), Data([0x61, 0xFF]), Data("add 1,".utf8), Data("  ".utf8),
                        ]
                        input += faults[Int.random(in: 0..<faults.count, using: &random)]
                    default:
                        let other = Int.random(in: 0..<1000, using: &random)
                        input += Data("add \(number), \(other)".utf8)
                        sums.append("ack add: \(number + other)")
                    }
                    input.append(10)
                }
                let run = try await run(["--transport", transport, "--wait", "0", url], input: input)
                #expect(run.output == sums, "seed \(seed)")
                let reported = run.errors.compactMap {
                    $0.firstMatch(of: /^duplex: line (\d+): not sent: a line is an event/).map { Int($0.1) }
                }
                #expect(reported == bad, "seed \(seed)")
                #expect(run.code == (bad.isEmpty ? 0 : 1), "seed \(seed)")
            }
        }
    }
}

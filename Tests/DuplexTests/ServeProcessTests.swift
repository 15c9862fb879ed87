// `duplex serve` as a process of its own: what only a whole process can show.

import Foundation
import Testing
import WebSocketCore
import WebSockets

@testable import duplex

@Suite(.timeLimit(.minutes(2))) struct ServeProcessTests {
    /// The process and what it says, line by line.
    private final class Child: Sendable {
        struct NoBinary: Error {}

        let process: Process
        let output: AsyncStream<String>
        let errors: AsyncStream<String>

        /// Runs a shell command in which `$0` is the command `duplex`.
        init(_ command: String) throws {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", command, try Self.binary()]
            output = Self.lines(of: process, \.standardOutput)
            errors = Self.lines(of: process, \.standardError)
            try process.run()
            self.process = process
        }

        /// The command, which is built beside the tests.
        private static func binary() throws -> String {
            var folder = Bundle.main.executableURL?.deletingLastPathComponent()
            for bundle in Bundle.allBundles where bundle.bundlePath.hasSuffix(".xctest") {
                folder = bundle.bundleURL.deletingLastPathComponent()
            }
            guard let path = folder?.appending(path: "duplex").path, FileManager.default.isExecutableFile(atPath: path) else {
                throw NoBinary()
            }
            return path
        }

        private static func lines(of process: Process, _ end: ReferenceWritableKeyPath<Process, Any?>) -> AsyncStream<String> {
            let pipe = Pipe()
            process[keyPath: end] = pipe
            let (lines, feed) = AsyncStream<String>.makeStream()
            Thread.detachNewThread {
                var rest = Data()
                while case let data = pipe.fileHandleForReading.availableData, !data.isEmpty {
                    rest += data
                    while let end = rest.firstIndex(of: 10) {
                        feed.yield(String(decoding: rest[..<end], as: UTF8.self))
                        rest = Data(rest[(end + 1)...])
                    }
                }
                feed.finish()
            }
            return lines
        }

        /// The address that it prints once it listens.
        func address() async -> String? {
            for await line in output { return line.firstIndex(of: ":").map { "ws" + line[$0...].dropLast() } }
            return nil
        }

        /// How many descriptors it has; 0 where the system does not say.
        var descriptors: Int {
            (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.processIdentifier)/fd").count) ?? 0
        }

        /// Ends it, and gives its exit code.
        func end() async -> Int32 {
            process.terminate()
            return await exitCode()
        }

        /// Waits for its end, on a thread of its own: the tests share two.
        func exitCode() async -> Int32 {
            let process = process
            return await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    process.waitUntilExit()
                    continuation.resume(returning: process.terminationStatus)
                }
            }
        }
    }

    /// Waits for a line that holds a text.
    private func line(_ text: String, in lines: AsyncStream<String>) async -> String? {
        for await line in lines where line.contains(text) { return line }
        return nil
    }

    @Test func outOfDescriptorsItServesWhoIsThereAndAcceptsAgain_H18() async throws {
        let child = try Child("ulimit -n 64; exec \"$0\" serve --port 0 --threads 1")
        let url = try #require(await child.address()) + "/echo"
        let (opened, open) = AsyncStream<WebSocket>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            // More than there are descriptors: some wait until others have gone.
            for _ in 0..<100 {
                group.addTask {
                    try await WebSocketClient.connect(url, configuration: .init(timeout: .seconds(100))) { socket in
                        open.yield(socket)
                        for try await _ in socket {}
                    }
                }
            }
            let warning = await line("no connection can be accepted", in: child.errors)
            #expect(warning?.contains("warning") == true)
            var most = child.descriptors
            var served = 0
            for await socket in opened {
                // Whoever is open is served while others wait, and makes room for them by going.
                #expect(try await socket.ping() > .zero)
                socket.close()
                served += 1
                most = max(most, child.descriptors)
                if served == 100 { break }
            }
            // Swift's thread pool needs one now and then, and ends the process where there is none: the last eight are its, and it may be looking.
            #expect(most <= 64 - 8 + 1)
            try await group.waitForAll()
        }
        #expect(await child.end() == 0)
        #expect(await line("no connection can be accepted", in: child.errors) == nil, "it warned more than once")
    }

    @Test func endsWithOneClearLineWhenThePortIsInUse() async throws {
        let first = try Child("exec \"$0\" serve --port 0 --threads 1")
        let url = try #require(await first.address())
        let port = try #require(url.split(separator: ":").last?.prefix { $0.isNumber })
        let second = try Child("exec \"$0\" serve --port \(port)")
        var lines: [String] = []
        for await line in second.errors { lines.append(line) }
        let code = await second.exitCode()
        #expect(lines == ["duplex: port \(port) on 127.0.0.1 is in use: stop the other server, or choose another port"])
        #expect(code == 1)
        #expect(await first.end() == 0)
    }
}

// A Redis server of a test's own: started on a free port, and treated badly.

import Foundation

/// A running `redis-server`; `stop` ends it.
public final class RedisServerProcess: Sendable {
    /// Why a server could not be started.
    public struct Failure: Error, CustomStringConvertible {
        /// What it said.
        public let description: String
    }

    /// What tests say that are skipped without it.
    public static let missing = "redis-server is not installed: apt-get install redis-server"

    /// Where the program is; nil if it is not installed.
    public static let path: String? = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"]
        .map { $0 + "/redis-server" }
        .first { FileManager.default.isExecutableFile(atPath: $0) }

    /// Whether it is installed.
    public static var isInstalled: Bool { path != nil }

    /// The port that it listens on.
    public let port: Int
    private let process: Process

    private init(port: Int, process: Process) {
        self.port = port
        self.process = process
    }

    /// Starts a server that keeps nothing, and waits until it listens.
    ///
    /// - Parameters:
    ///   - port: nil for any free one.
    ///   - isTLS: whether it speaks TLS; the arguments name the certificate then.
    ///   - arguments: what else its command line has.
    public static func start(port: Int? = nil, isTLS: Bool = false, arguments: [String] = []) async throws -> RedisServerProcess {
        // Between asking for a free port and using it, another process may take it: then the next one is tried.
        var failure = Failure(description: missing)
        for _ in 0..<(port == nil ? 5 : 1) {
            let port = try port ?? freePort()
            do {
                return try await start(on: port, isTLS, arguments)
            } catch let error as Failure {
                failure = error
            }
        }
        throw failure
    }

    private static func start(on port: Int, _ isTLS: Bool, _ arguments: [String]) async throws -> RedisServerProcess {
        let ports = isTLS ? ["--port", "0", "--tls-port", String(port)] : ["--port", String(port)]
        return try await run(
            port, ports + ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"] + arguments,
            until: "Ready to accept connections")
    }

    private static func run(_ port: Int, _ arguments: [String], until ready: String) async throws -> RedisServerProcess {
        guard let path else { throw Failure(description: missing) }
        let (process, pipe) = (Process(), Pipe())
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let said = await untilSaid(ready, pipe)
        guard said.contains(ready) else {
            process.terminate()
            throw Failure(description: "redis-server did not start: \(said)")
        }
        return RedisServerProcess(port: port, process: process)
    }

    /// Starts a Sentinel that watches a server, and waits until it knows the server's replica.
    ///
    /// - Parameter folder: where it keeps what it knows.
    public static func startSentinel(of master: RedisServerProcess, named name: String, in folder: String) async throws
        -> RedisServerProcess
    {
        let port = try freePort()
        let configuration = """
            port \(port)
            bind 127.0.0.1
            sentinel monitor \(name) 127.0.0.1 \(master.port) 1
            sentinel down-after-milliseconds \(name) 1000
            sentinel failover-timeout \(name) 3000
            """
        let file = folder + "/sentinel.conf"
        try Data(configuration.utf8).write(to: URL(fileURLWithPath: file))
        return try await run(port, [file, "--sentinel"], until: "+slave slave")
    }

    /// What it says until it is ready, or ends; what follows is read and dropped, so that it never waits for its reader.
    private static func untilSaid(_ ready: String, _ pipe: Pipe) async -> String {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var (said, waiting) = ("", Optional(continuation))
                while case let data = pipe.fileHandleForReading.availableData, !data.isEmpty {
                    guard let waiter = waiting else { continue }
                    said += String(decoding: data, as: UTF8.self)
                    guard said.contains(ready) else { continue }
                    waiting = nil
                    waiter.resume(returning: said)
                }
                waiting?.resume(returning: said)
            }
        }
    }

    /// A port of 127.0.0.1 that nobody listens on.
    private static func freePort() throws -> Int {
        #if canImport(Darwin)
        let kind = SOCK_STREAM
        #else
        let kind = Int32(SOCK_STREAM.rawValue)
        #endif
        let descriptor = socket(AF_INET, kind, 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 ? getsockname(descriptor, pointer, &length) : -1
            }
        }
        guard result == 0 else { throw Failure(description: "no free port: errno \(errno)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    /// Sends it a signal.
    public func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Ends it without a last word, and waits until it is gone.
    public func killNow() {
        guard process.isRunning else { return }
        signal(SIGKILL)
        process.waitUntilExit()
    }

    /// Ends it at a test's end.
    public func stop() { killNow() }
}

/// Runs a Redis server while a body does.
public func withRedis<R>(
    isTLS: Bool = false, _ arguments: [String] = [], _ body: (RedisServerProcess) async throws -> R
) async throws -> R {
    let server = try await RedisServerProcess.start(isTLS: isTLS, arguments: arguments)
    defer { server.stop() }
    return try await body(server)
}

// A process of this program's own: started with other arguments, and ended with this one.

import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// This program, running once more.
///
/// Its standard input is a pipe whose other end only this process has: it ends when this process does, however that happens.
final class ChildProcess: Sendable {
    let pid: Int32
    private let lifeline: Int32
    private let hasEnded = Mutex(false)

    /// Starts this program's own file with other arguments.
    ///
    /// - Parameter output: what becomes its standard output; this process's if nil.
    init(_ arguments: [String], output: Int32? = nil) throws(SystemError) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw SystemError(call: "making a pipe", code: errno) }
        // No other child may hold this end open.
        _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
        defer { Self.close(ends[0]) }
        do {
            pid = try Self.spawn(arguments, input: ends[0], output: output)
        } catch {
            Self.close(ends[1])
            throw error
        }
        lifeline = ends[1]
    }

    /// Starts this program's own file with other arguments, and waits for the first line that it prints; empty if it ends without one.
    static func announced(_ arguments: [String]) throws(SystemError) -> (ChildProcess, line: String) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw SystemError(call: "making a pipe", code: errno) }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        defer { close(ends[0]) }
        let child: ChildProcess
        do {
            child = try ChildProcess(arguments, output: ends[1])
            close(ends[1])
        } catch {
            close(ends[1])
            throw error
        }
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(ends[0], &byte, 1) == 1, byte != UInt8(ascii: "\n"), line.count < 1024 { line.append(byte) }
        return (child, String(decoding: line, as: UTF8.self))
    }

    /// Has it end, and waits for that: at first politely.
    func end() async {
        close()
        for attempt in 0..<100 where !isOver {
            if attempt > 30 { kill(pid, SIGKILL) }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Has it end, and does not wait.
    func close() {
        hasEnded.withLock { hasEnded in
            guard !hasEnded else { return }
            hasEnded = true
            Self.close(lifeline)
            kill(pid, SIGTERM)
        }
    }

    /// Whether it has ended; asking clears away what the system keeps of it.
    var isOver: Bool {
        var status: Int32 = 0
        let result = waitpid(pid, &status, WNOHANG)
        return result == pid || (result < 0 && errno == ECHILD)
    }

    private static func close(_ descriptor: Int32) { _ = shut(descriptor) }

    private static func spawn(_ arguments: [String], input: Int32, output: Int32?) throws(SystemError) -> Int32 {
        #if os(Linux)
        let program = "/proc/self/exe"
        #else
        let program = CommandLine.arguments.first ?? "duplex"
        #endif
        #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
        var attributes: posix_spawnattr_t?
        #else
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        if let output { posix_spawn_file_actions_adddup2(&actions, output, 1) }
        // The server's connections are not the child's.
        #if canImport(Darwin)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_CLOEXEC_DEFAULT))
        posix_spawn_file_actions_addinherit_np(&actions, 1)
        posix_spawn_file_actions_addinherit_np(&actions, 2)
        #else
        let files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        for file in files.compactMap({ Int32($0) }) where file > 2 { posix_spawn_file_actions_addclose(&actions, file) }
        #endif
        var pointers = (["duplex"] + arguments).map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, program, &actions, &attributes, &pointers, environ)
        guard code == 0 else { throw SystemError(call: "starting another process of duplex", code: code) }
        return pid
    }
}

/// The system's `close`, whose name a method has here.
private func shut(_ descriptor: Int32) -> Int32 { close(descriptor) }

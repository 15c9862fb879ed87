// The server's process, where it is on this machine: its CPU time and memory, from Linux's /proc (proc(5)).

import NIOCore

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

/// A process of this machine.
struct ServerProcess: Sendable {
    let pid: Int32

    /// Whether there is such a process, whoever it belongs to (kill(2) with no signal).
    var exists: Bool { kill(pid, 0) == 0 || errno != ESRCH }

    /// How long it has worked, user and system, in seconds, in steps of 10 ms; nil if it is not there.
    var cpuTime: Double? {
        // The name is in parentheses and may hold anything; what is counted here begins behind the last of them.
        guard let fields = contents(of: "/proc/\(pid)/stat")?.split(separator: ")").last?.split(separator: " "), fields.count > 12,
            let user = Double(fields[11]), let system = Double(fields[12])
        else { return nil }
        return (user + system) / clockTicksPerSecond
    }

    /// Its resident memory; nil if it is not there.
    var residentBytes: Int? {
        guard let fields = contents(of: "/proc/\(pid)/statm")?.split(separator: " "), fields.count > 1 else { return nil }
        return Int(fields[1]).map { $0 * pageSize }
    }

    /// The process that listens at an address of this machine; nil if it is not on this machine or belongs to somebody else.
    static func listening(at address: SocketAddress) -> ServerProcess? {
        guard address.isLoopback, let port = address.port else { return nil }
        let inodes = Set(["/proc/net/tcp", "/proc/net/tcp6"].flatMap { listeners(on: port, in: contents(of: $0) ?? "") })
        guard !inodes.isEmpty, let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc") else { return nil }
        return names.lazy.compactMap { Int32($0) }.first { holds(inodes, $0) }.map { ServerProcess(pid: $0) }
    }

    /// The inodes of the sockets that listen on a port, in the table that the system prints.
    static func listeners(on port: Int, in table: String) -> [String] {
        table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            // 0A is TCP_LISTEN; the local address is ADDRESS:PORT in hexadecimal.
            guard fields.count > 9, fields[3] == "0A", let local = fields[1].split(separator: ":").last, Int(local, radix: 16) == port
            else { return nil }
            return String(fields[9])
        }
    }

    private static func holds(_ inodes: Set<String>, _ pid: Int32) -> Bool {
        let folder = "/proc/\(pid)/fd"
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return files.contains { file in
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(file)"),
                target.hasPrefix("socket:[")
            else { return false }
            return inodes.contains(String(target.dropFirst(8).dropLast()))
        }
    }
}

extension SocketAddress {
    /// Whether it is this machine's own: 127.0.0.0/8 (RFC 1122 §3.2.1.3), also written as IPv6, or ::1 (RFC 4291 §2.5.3).
    var isLoopback: Bool {
        guard let text = ipAddress else { return false }
        return text == "::1" || text.hasPrefix("127.") || text.hasPrefix("::ffff:127.")
    }
}

// Whether this machine can have as many connections as are asked for: files of the process, ports of an address.

import NIOCore

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

enum Capacity {
    /// Files that are open beside the connections: the standard streams, event loops, the resolver, libraries.
    static let spareFiles = 64

    /// - Parameter files: how many files this process may open; nil if that is not known.
    static func check(files: Int?, for plan: BenchPlan) throws(BenchError) {
        guard let files, plan.connections > files - spareFiles else { return }
        throw BenchError(
            "\(plan.connections) connections need as many open files, and this process may open \(files), of which it needs some itself: "
                + "ask for at most \(max(0, files - spareFiles)), or raise the limit (ulimit -n)")
    }

    /// - Parameter ports: how many connections this machine can have to the server's address; nil if that is not known.
    static func check(ports: Int?, for plan: BenchPlan) throws(BenchError) {
        guard let ports, plan.connections > ports else { return }
        throw BenchError(
            "\(plan.connections) connections need as many ports, and one address of this machine has \(ports) to connect to one server from "
                + "(net.ipv4.ip_local_port_range): ask for fewer, or measure from more machines")
    }

    /// How many ports there are to connect from; nil where the system does not say.
    static func localPorts(to server: SocketAddress?) -> Int? {
        guard server != nil, let text = contents(of: "/proc/sys/net/ipv4/ip_local_port_range") else { return nil }
        let bounds = text.split { $0.isWhitespace }.compactMap { Int($0) }
        return bounds.count == 2 && bounds[0] <= bounds[1] ? bounds[1] - bounds[0] + 1 : nil
    }
}

/// What is in a file that is text and small; nil if it can not be read.
func contents(of path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
}

// What a benchmark is to do, as a value.

import ArgumentParser
import NIOCore
import WebSocketCore
import WebSockets

/// What a benchmark is to do.
struct BenchPlan: Sendable {
    enum Kind: String, Sendable {
        case echo, broadcast, idle, handshake, latency
    }

    var kind: Kind
    var url: String
    var connections: Int
    /// The bytes of a message.
    var size = 20
    /// How many messages of a sender are under way at once; of no effect at a fixed rate.
    var depth = 1
    /// Messages a second of all senders together; nil to send when an answer has come.
    var rate: Double?
    /// How many of a broadcast's connections send.
    var publishers = 1
    var seconds = 10.0
    /// How long nothing at all may come back, in seconds.
    var patience = 5.0
    /// How long answers may take that are under way at the end, in seconds.
    var drain = 2.0
    var warmUp = 0.0
    var threads = 1
    /// How many handshakes are under way at once.
    var parallel = 100
    var pid: Int32?
    var configuration = WebSocketClient.Configuration()

    /// Half of the processors: where the server is on the same machine, it needs the other half.
    static let defaultThreads = max(1, System.coreCount / 2)

    /// How many connections send.
    var senders: Int {
        switch kind {
        case .echo, .latency: connections
        case .broadcast: publishers
        case .idle, .handshake: 0
        }
    }

    /// How many messages come for one that is sent.
    var answersPerMessage: Int { kind == .broadcast ? connections : 1 }

    /// The most bytes that may be under way at once: all of it is memory, at both ends.
    private static let maxUnderWay = 1 << 30

    /// Sets when messages are sent.
    mutating func pace(depth: Int?, rate: Double?) throws {
        guard depth == nil || rate == nil else {
            throw ValidationError("--rate sends whether answers come or not, so --depth has no use: leave one out")
        }
        if let rate {
            guard rate >= 0.001, rate <= 10_000_000 else { throw ValidationError("--rate must be 0.001 to 10000000") }
        }
        let depth = depth ?? 1
        try checkRange(1...65_536, "depth", depth)
        guard rate != nil || depth * max(size, 1) <= Self.maxUnderWay / senders else {
            throw ValidationError("--size times --depth times the senders is over 1 GiB, and all of it would be under way at once")
        }
        self.depth = depth
        self.rate = rate
    }

    /// The settings of a connection on a thread.
    ///
    /// What protects a program from a peer that reads or writes too much would only falsify what is measured: the load itself sets
    /// the limits. Nor does a client ping that is there to keep connections idle.
    func configuration(on loop: any EventLoop) -> WebSocketClient.Configuration {
        var configuration = configuration
        configuration.eventLoopGroup = loop
        configuration.connection.limits = Limits(maxMessageSize: max(size, 1 << 20))
        configuration.connection.keepalive = nil
        configuration.connection.closeTimeout = .seconds(2)
        configuration.connection.sendHighWaterMark = .max / 4
        configuration.connection.maxSendBuffer = .max / 4
        return configuration
    }
}

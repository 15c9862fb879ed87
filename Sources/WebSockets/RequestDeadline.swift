// How long the parts of an HTTP connection may take: a head has one deadline, whatever arrives meanwhile; bodies and responses may take any
// time as long as they go on at the least rate.

import NIOCore

/// A limit in time of a server's HTTP connection, and when it is reached.
struct RequestDeadline {
    /// A part of the connection that may not take for ever.
    enum Limit: Sendable {
        /// TLS, and a request's head.
        case head
        /// A request's body.
        case body
        /// The program's decision about a handshake.
        case decision
        /// The program's answer to a client that has ended its side of the connection.
        case answer
        /// A response, or a piece of one.
        case response
        /// The wait for the next request.
        case keepAlive
    }

    let limit: Limit
    private(set) var moment: NIODeadline
    private let duration: Duration
    /// How many bytes must pass within `duration`; nil where none helps.
    private let least: Int?
    private var passed = 0

    /// - Parameter start: since when the time counts.
    init(_ limit: Limit, _ configuration: WebSocketServer.Configuration, since start: NIODeadline) {
        self.limit = limit
        switch limit {
        case .head, .decision, .answer: (duration, least) = (configuration.handshakeTimeout, nil)
        case .body: (duration, least) = Self.window(configuration.bodyTimeout, configuration.minTransferRate)
        case .response: (duration, least) = Self.window(configuration.responseTimeout, configuration.minTransferRate)
        case .keepAlive: (duration, least) = (configuration.keepAliveTimeout, nil)
        }
        moment = start + TimeAmount(duration)
    }

    /// Something must pass in any case.
    private static func window(_ duration: Duration, _ rate: Int) -> (Duration, Int?) {
        let bytes = max(0, Double(rate) * (duration / .seconds(1)))
        return (duration, max(1, Int(exactly: bytes.rounded(.down)) ?? .max))
    }

    /// Counts what passes from here on.
    ///
    /// - Parameter passed: how many bytes have passed until now, counted from anywhere.
    mutating func begin(at passed: Int) { self.passed = passed }

    /// Begins the next stretch of time if enough has passed in the one that is over; false if not.
    mutating func renew(at now: NIODeadline, passed: Int) -> Bool {
        guard let least, passed - self.passed >= least else { return false }
        self.passed = passed
        moment = now + TimeAmount(duration)
        return true
    }
}

extension RequestDeadline.Limit {
    /// What the log and the peer are told when it is reached.
    func text(_ configuration: WebSocketServer.Configuration) -> String {
        let rate = "under \(configuration.minTransferRate) bytes per second"
        return switch self {
        case .head: "the request's head did not arrive within \(configuration.handshakeTimeout) (limit handshakeTimeout)"
        case .body: "the body arrived too slowly: \(rate) for \(configuration.bodyTimeout) (limits bodyTimeout, minTransferRate)"
        case .decision:
            "the server did not decide about the handshake within \(configuration.handshakeTimeout) (limit handshakeTimeout)"
        case .answer:
            "the client ended its side and was not answered within \(configuration.handshakeTimeout) (limit handshakeTimeout)"
        case .response:
            "the response was read too slowly: \(rate) for \(configuration.responseTimeout) (limits responseTimeout, minTransferRate)"
        case .keepAlive: "no further request arrived within \(configuration.keepAliveTimeout) (limit keepAliveTimeout)"
        }
    }
}

// What each method has cost: requests, and bytes as they were on the wire.

import WebSockets

/// What a method has cost so far.
struct CompareCounts: Encodable, Equatable {
    /// Requests, of which a WebSocket has one; and events that were sent.
    var requests = 0, events = 0
    var bytesUp = 0, bytesDown = 0
}

/// What all methods of a comparison have cost so far.
struct CompareLedger {
    /// What carries bytes: a request with its answer, or a WebSocket; their library counts them at its sockets.
    enum Carrier { case request(RequestTraffic), socket(WebSocket) }
    typealias Method = CompareRun.Method

    /// The most requests and connections of a method that are under way.
    static let maxOpen = 2000

    var rate = 10.0
    var counts: [Method: CompareCounts] = [:]
    /// Those whose bytes may still change.
    private(set) var open: [Method: [Carrier]] = [:]

    mutating func begin(_ method: Method, _ carrier: Carrier) -> Bool {
        if isFull(method) { settle() }
        guard !isFull(method) else { return false }
        counts[method, default: CompareCounts()].requests += 1
        open[method, default: []].append(carrier)
        return true
    }

    private func isFull(_ method: Method) -> Bool { open[method]?.count ?? 0 >= Self.maxOpen }

    /// Adds up those that are over, and forgets them.
    mutating func settle() {
        for (method, carriers) in open {
            for carrier in carriers where carrier.isOver { counts[method, default: CompareCounts()].add(carrier) }
            open[method] = carriers.filter { !$0.isOver }
        }
    }

    /// With those that go on.
    func total(_ method: Method) -> CompareCounts {
        var total = counts[method] ?? CompareCounts()
        for carrier in open[method] ?? [] { total.add(carrier) }
        return total
    }
}

extension CompareCounts {
    fileprivate mutating func add(_ carrier: CompareLedger.Carrier) {
        switch carrier {
        case .request(let traffic):
            bytesUp += traffic.bytesReceived
            bytesDown += traffic.bytesSent
        case .socket(let socket):
            bytesUp += socket.bytesReceived
            bytesDown += socket.bytesSent
        }
    }
}

extension CompareLedger.Carrier {
    fileprivate var isOver: Bool {
        switch self {
        case .request(let traffic): traffic.isComplete
        case .socket(let socket): socket.readyState == .closed
        }
    }
}

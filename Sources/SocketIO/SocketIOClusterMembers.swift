// What messages of a cluster consist of, whichever adapter carries them: read strictly, as whoever can write to Redis can write anything
// (CVE-2025-61765).

import EngineIO
import WebSockets

/// The members of an object that another node sent.
package struct SocketIOClusterMembers {
    private let object: SocketIOValue
    private let place: String

    package init(_ object: SocketIOValue, of place: String) {
        self.object = object
        self.place = place
    }

    package static func error(_ what: String) -> SocketIOParseError { SocketIOParseError(.invalidClusterMessage, what) }

    package subscript(name: String) -> SocketIOValue { object[name] ?? .null }

    package func members(_ name: String) throws(SocketIOParseError) -> SocketIOClusterMembers {
        guard case .object = self[name] else { throw error(name, "an object") }
        return SocketIOClusterMembers(self[name], of: "\(name) of \(place)")
    }

    package func string(_ name: String) throws(SocketIOParseError) -> String { try need(name, "a string", self[name].string) }
    package func int(_ name: String) throws(SocketIOParseError) -> Int { try need(name, "a whole number", self[name].int) }
    package func array(_ name: String) throws(SocketIOParseError) -> [SocketIOValue] { try need(name, "an array", self[name].array) }

    /// A member that may be missing.
    package func optional<Value>(_ name: String, _ read: (String) throws(SocketIOParseError) -> Value) throws(SocketIOParseError) -> Value?
    {
        self[name].isNull ? nil : try read(name)
    }

    package func bool(_ name: String) throws(SocketIOParseError) -> Bool { try need(name, "a boolean", self[name].bool) }

    package func names(_ name: String) throws(SocketIOParseError) -> Set<String> {
        var names: Set<String> = []
        for value in try array(name) { names.insert(try need(name, "an array of strings", value.string)) }
        return names
    }

    /// An event: its name and its arguments.
    package func event(_ name: String) throws(SocketIOParseError) -> [SocketIOValue] {
        let values = try array(name)
        guard values.first?.eventName != nil else { throw error(name, "an event") }
        return values
    }

    package func options() throws(SocketIOParseError) -> SocketIOBroadcastOptions {
        let members = try members("opts")
        var options = SocketIOBroadcastOptions(rooms: try members.names("rooms"), except: try members.names("except"))
        try members.optional("flags", members.members)?.readFlags(into: &options)
        return options
    }

    /// Reads how something is sent; flags that are not known are left out.
    package func readFlags(into options: inout SocketIOBroadcastOptions) throws(SocketIOParseError) {
        options.isVolatile = try optional("volatile", bool) ?? false
        options.compression = try optional("compress", bool) == false ? .never : .automatic
        options.timeout = try optional("timeout", milliseconds)
    }

    /// A time of up to a year: what is more is a mistake, and would not fit everywhere.
    private func milliseconds(_ name: String) throws(SocketIOParseError) -> Duration {
        let time = try int(name)
        guard 0...31_536_000_000 ~= time else { throw Self.error("\(name) of \(place) is \(time)") }
        return .milliseconds(time)
    }

    package func count(_ name: String) throws(SocketIOParseError) -> Int {
        let count = try int(name)
        // Sums of such numbers must not overflow, however many somebody makes up.
        guard (0...Int(Int32.max)).contains(count) else { throw Self.error("\(name) of \(place) is \(count)") }
        return count
    }

    private func need<Value>(_ name: String, _ kind: String, _ value: Value?) throws(SocketIOParseError) -> Value {
        guard let value else { throw error(name, kind) }
        return value
    }

    private func error(_ name: String, _ kind: String) -> SocketIOParseError {
        Self.error("\(name) of \(place) is \(self[name].kindName), not \(kind)")
    }

    /// Sockets, described.
    package func sockets(_ name: String) throws(SocketIOParseError) -> [SocketIOClusterMessage.Socket] {
        var sockets: [SocketIOClusterMessage.Socket] = []
        for value in try array(name) {
            let socket = SocketIOClusterMembers(value, of: "a socket")
            sockets.append(
                SocketIOClusterMessage.Socket(
                    id: try socket.string("id"), rooms: try socket.names("rooms"), data: socket["data"], handshake: socket["handshake"]))
        }
        return sockets
    }
}

// MARK: Writing

extension SocketIOClusterMessage.Socket {
    /// Node's `fetchSockets` takes `data` for an object.
    package var value: SocketIOValue {
        ["id": .string(id), "handshake": handshake, "rooms": .sorted(rooms), "data": data.isNull ? .object([:]) : data]
    }
}

extension SocketIOBroadcastOptions {
    /// Without `isLocal`: what is this node's is not said to others.
    package var value: SocketIOValue { ["rooms": .sorted(rooms), "except": .sorted(except), "flags": flags] }

    /// How it is sent.
    package var flags: SocketIOValue {
        var flags = SocketIOObject()
        if isVolatile { flags["volatile"] = true }
        if compression == .never { flags["compress"] = false }
        if let timeout { flags["timeout"] = .int(Int(clamping: timeout.milliseconds)) }
        return .object(flags)
    }
}

extension SocketIOValue {
    /// Names as an array, in their order.
    package static func sorted(_ names: Set<String>) -> SocketIOValue { .array(names.sorted().map { .string($0) }) }
}

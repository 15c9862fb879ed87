// Devices: sensors publish under topics of their own; a page subscribes to what a pattern takes, and commands what it sees.

import PubSub
import Synchronization
import WebSockets

final class Devices: Exhibit {
    enum Request: Decodable {
        /// MQTT's wildcards: + is one level, # the rest.
        case watch(pattern: String)
        case turn(device: String, isOn: Bool)
        /// The tab is a device itself.
        case report(value: Double, isOn: Bool)
    }
    enum Event: Encodable {
        case watching(pattern: String)
        case reading(reading: Reading)
        case turned(device: String, isOn: Bool)
    }
    struct Reading: Codable { var device: String, value: Double, unit: String, isOn: Bool }

    private let devices = Mutex(Devices.simulated)
    private let limits = RateLimits(perSecond: 20, burst: 40)
    private let audience = Audience()

    func mount(on server: WebSocketServer) {
        server.webSocket("/devices/{user}") { [self] socket in
            audience.enter()
            defer { audience.leave() }
            let own = "tabs/\(socket.user)/slider"
            var watched: TopicPattern?
            try socket.subscribe("commands/\(own)")
            try await socket.converse(Request.self, within: limits) { request in
                switch request {
                case .watch(let text):
                    // Below devices/ only, whatever the page asks for.
                    let pattern: TopicPattern
                    do { pattern = try TopicPattern("devices/" + text.checked("A pattern", 1...100)) } catch let error as TopicError {
                        throw Refusal("\(error).")
                    }
                    if let watched { socket.unsubscribe(matching: watched) }
                    try socket.subscribe(matching: pattern, whenSlow: .latest)
                    watched = pattern
                    try await socket.send(.json(Event.watching(pattern: text)))
                    for reading in devices.withLock({ $0 }) where pattern.matches("devices/" + reading.device) {
                        try await socket.send(.json(Event.reading(reading: reading)))
                    }
                case .turn(let device, let isOn):
                    guard device.hasPrefix("tabs/") || turn(device, isOn, socket) else { throw Refusal("There is no such device.") }
                    socket.publish(.json(Event.turned(device: device, isOn: isOn)), to: "commands/\(device)", includingSelf: true)
                case .report(let value, let isOn):
                    guard (0...100).contains(value) else { throw Refusal("A tab's value is 0 to 100.") }
                    let reading = Reading(device: own, value: value, unit: "%", isOn: isOn)
                    socket.publish(.json(Event.reading(reading: reading)), to: "devices/\(own)", includingSelf: true)
                }
            }
        }
    }

    /// Told under the lock: no reading of before comes after. False for a device that there is not.
    private func turn(_ device: String, _ isOn: Bool, _ socket: WebSocket) -> Bool {
        devices.withLock { devices in
            guard let index = devices.firstIndex(where: { $0.device == device }) else { return false }
            devices[index].isOn = isOn
            socket.publish(.json(Event.reading(reading: devices[index])), to: "devices/\(device)", includingSelf: true)
            return true
        }
    }

    /// The simulated ones report about once a second, those that are on.
    func run(on server: WebSocketServer) async {
        while await audience.sleep(until: .now + .milliseconds(50)) {
            devices.withLock { devices in
                let index = devices.indices.randomElement() ?? 0
                guard devices[index].isOn else { return }
                // About where it began, however long this runs.
                devices[index].value += Double.random(in: -0.5...0.5) + (Self.simulated[index].value - devices[index].value) / 50
                server.publish(.json(Event.reading(reading: devices[index])), to: "devices/\(devices[index].device)")
            }
        }
    }

    static let simulated: [Reading] = ["north", "south", "harbour"].flatMap { site in
        ["hall", "office", "roof"].flatMap { place in
            [("temperature", 20.0, "°C"), ("humidity", 50.0, "%")].map { kind, value, unit in
                Reading(device: "\(site)/\(place)/\(kind)", value: value, unit: unit, isOn: true)
            }
        }
    }
}

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

    func mount(on server: WebSocketServer) {
        server.webSocket("/devices/{user}") { [self] socket in
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
                    socket.publish(.json(Event.turned(device: device, isOn: isOn)), to: "commands/\(device)", includingSelf: true)
                    guard let reading = turn(device, isOn) else { return }
                    socket.publish(.json(Event.reading(reading: reading)), to: "devices/\(device)", includingSelf: true)
                case .report(let value, let isOn):
                    let reading = Reading(device: own, value: value, unit: "%", isOn: isOn)
                    socket.publish(.json(Event.reading(reading: reading)), to: "devices/\(own)", includingSelf: true)
                }
            }
        }
    }

    private func turn(_ device: String, _ isOn: Bool) -> Reading? {
        devices.withLock { devices in
            guard let index = devices.firstIndex(where: { $0.device == device }) else { return nil }
            devices[index].isOn = isOn
            return devices[index]
        }
    }

    /// The simulated ones report about once a second, those that are on.
    func run(on server: WebSocketServer) async {
        while (try? await Task.sleep(for: .milliseconds(50))) != nil {
            let reading = devices.withLock { devices -> Reading? in
                let index = devices.indices.randomElement() ?? 0
                guard devices[index].isOn else { return nil }
                devices[index].value += Double.random(in: -0.5...0.5)
                return devices[index]
            }
            if let reading { server.publish(.json(Event.reading(reading: reading)), to: "devices/\(reading.device)") }
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

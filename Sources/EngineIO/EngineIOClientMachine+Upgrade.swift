// The change from long-polling to WebSocket: Engine.IO protocol 4, "Upgrade".
//
//   open ── the server offers it ──► connecting ── WebSocket open: "2probe" ──► probing ── "3probe" ──► pausing
//   pausing ── no poll and no POST under way ──► "5", and the WebSocket is the transport
//   connecting, probing, pausing ── any other packet, the WebSocket's end, upgradeTimeout ──► long-polling goes on

import NIOCore
import WebSocketCore
import WebSockets

extension EngineIOClientMachine {
    private static var probeText: String { "probe" }

    mutating func beginUpgrade(_ opening: EngineIOOpening, at now: Timestamp) {
        guard configuration.allowsUpgrade, transport == .polling, configuration.transports.contains(.webSocket),
            opening.upgrades.contains(EngineIOTransport.webSocket.rawValue)
        else { return }
        let probe = Probe(link: newLink(), deadline: now.advanced(by: configuration.upgradeTimeout))
        self.probe = probe
        actions.append(.openSocket(probe.link))
    }

    /// A WebSocket is open.
    mutating func socketOpened(_ link: Link) {
        // > It MUST send a `ping` packet with the string `probe` as payload
        guard link == probe?.link else { return }
        probe?.step = .probing
        actions.append(.send(link, [.control(EngineIOPacket(.ping, Self.probeText))]))
    }

    mutating func probeReceived(_ packet: EngineIOPacket) {
        guard probe?.step == .probing, packet == EngineIOPacket(.pong, Self.probeText) else {
            return probeFailed(EngineIOClientError(.invalidPacket, "the probe was answered with a packet of type \(packet.type.rawValue)"))
        }
        probe?.step = .pausing
        changeIfQuiet()
    }

    /// Completes the change, once nothing is under way on long-polling: so that nothing is overtaken, either way.
    mutating func changeIfQuiet() {
        guard let probe, probe.step == .pausing, !isPolling, !isPosting else { return }
        self.probe = nil
        becomeWebSocket(probe.link)
        // > It MUST send a `upgrade` packet
        actions.append(.send(link, [.control(EngineIOPacket(.upgrade))]))
        actions.append(.remember(true))
        actions.append(.upgraded)
        flush()
        closeIfDone()
    }

    /// Long-polling goes on as if nothing had been.
    mutating func probeFailed(_ error: EngineIOClientError) {
        guard let probe else { return }
        dropProbe(probe)
        actions.append(.remember(false))
        actions.append(.upgradeFailed(error))
        guard probe.step == .pausing else { return closeIfDone() }
        if !isPolling { poll() }
        flush()
        closeIfDone()
    }

    mutating func dropProbe(_ probe: Probe) {
        self.probe = nil
        actions.append(.drop(probe.link, gracefully: false))
    }
}

// A client's change to WebSocket, packet by packet: EngineIOClientMachine+Upgrade.swift.

import NIOCore
import Testing
import WebSocketCore

@testable import EngineIO

@Suite struct EngineIOClientMachineUpgradeTests {
    /// A machine whose probe waits for its WebSocket, link 2, while link 1 polls.
    private func begin(_ adjust: (inout EngineIOClientConfiguration) -> Void = { _ in }) -> ClientMachineBench {
        ClientMachineBench.open([.polling, .webSocket], adjust)
    }

    private func probed() -> ClientMachineBench {
        let bench = begin()
        _ = bench.socketOpened(2)
        return bench
    }

    @Test func theProbeBeginsWithTheSession() {
        let bench = ClientMachineBench([.polling, .webSocket])
        _ = bench.start()
        #expect(bench.polled("0" + ClientMachineBench.open) == ["opened s1", "socket 2", "poll 1"])
        #expect(bench.socketOpened(2) == ["send 2 2probe"])
    }

    @Test func onlyWhereBothWantIt() {
        let bench = ClientMachineBench([.polling, .webSocket]) { $0.allowsUpgrade = false }
        _ = bench.start()
        #expect(bench.polled("0" + ClientMachineBench.open) == ["opened s1", "poll 1"])
        let other = ClientMachineBench([.polling, .webSocket])
        _ = other.start()
        let open = #"0{"sid":"s","upgrades":[],"pingInterval":1,"pingTimeout":1}"#
        #expect(other.polled(open) == ["opened s", "poll 1"])
        let third = ClientMachineBench([.polling])
        _ = third.start()
        #expect(third.polled("0" + ClientMachineBench.open) == ["opened s1", "poll 1"])
    }

    @Test func thePollsEndFirst() {
        let bench = probed()
        #expect(bench.send("a") == ["post 1 4a"])
        #expect(bench.receive("3probe", link: 2) == [])
        // Nothing is sent meanwhile.
        #expect(bench.send("b") == [])
        #expect(!bench.isWritable)
        #expect(bench.polled("4x", "6") == ["received x"])
        #expect(bench.posted() == ["send 2 5", "upgraded", "send 2 4b"])
        #expect(bench.transport == .webSocket)
        #expect(bench.receive("4y", link: 2) == ["received y"])
        // News of the old link is late.
        #expect(bench.polled("4z", link: 1) == [])
        #expect(bench.fail(.poll, link: 1) == [])
    }

    @Test func aPingMeanwhileIsAnsweredAfterwards() {
        let bench = probed()
        _ = bench.receive("3probe", link: 2)
        #expect(bench.polled("2") == ["send 2 5", "upgraded", "send 2 3"])
    }

    @Test(arguments: ["3", "4probe", "2probe", "6", "0{}"]) func anyOtherAnswerFails(packet: String) {
        let bench = probed()
        #expect(bench.receive(packet, link: 2) == ["drop 2", "upgrade failed"])
        #expect(bench.polled("4a") == ["received a", "poll 1"])
        #expect(bench.receive("3probe", link: 2) == [])
    }

    @Test func aLostProbeIsForgotten() {
        #expect(begin().fail(.webSocket, link: 2) == ["drop 2", "upgrade failed"])
        #expect(probed().fail(.webSocketClosed, link: 2) == ["drop 2", "upgrade failed"])
    }

    @Test func aProbeLostAtTheLastMomentLetsPollingGoOn() {
        let bench = probed()
        _ = bench.send("a")
        _ = bench.receive("3probe", link: 2)
        _ = bench.send("b")
        #expect(bench.polled("6") == [])
        #expect(bench.fail(.webSocketClosed, link: 2) == ["drop 2", "upgrade failed", "poll 1"])
        #expect(bench.posted() == ["post 1 4b"])
    }

    @Test func itHasALimit() {
        let bench = begin { $0.upgradeTimeout = .milliseconds(400) }
        #expect(bench.wait(.milliseconds(399)) == [])
        #expect(bench.wait(.milliseconds(1)) == ["drop 2", "upgrade failed"])
        // Long-polling goes on, with its own deadline.
        #expect(bench.wait(.milliseconds(99)) == [])
        #expect(bench.wait(.milliseconds(1)) == ["drop 1", "closed: ping timeout (ping timeout)"])
    }

    @Test func closingDropsAProbeThatIsNotDone() {
        #expect(probed().close() == ["drop 2", "post 1 1", "drop 1 gracefully", "closed: forced close"])
    }

    @Test func closingWaitsForAChangeThatHasBegun() {
        let bench = probed()
        _ = bench.send("a")
        _ = bench.receive("3probe", link: 2)
        _ = bench.send("b")
        #expect(bench.close() == [])
        #expect(bench.posted() == [])
        #expect(bench.polled("6") == ["send 2 5", "upgraded", "send 2 4b", "drop 2 gracefully", "closed: forced close"])
    }
}

// Who of a room is told as a group, and who apart: Room.swift.

import EngineIO
import Testing

@testable import SocketIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct RoomTests {
    /// Sockets that WebSockets carry, and one on long-polling.
    private func run(_ count: Int, _ body: ([SocketIOSocket], SocketIOSocket) throws -> Void) async throws {
        try await withSocketIO { bench in
            var clients: [TestClient] = []
            for _ in 0..<count { clients.append(try await bench.join()) }
            let opened = try await bench.request("GET", "")
            let sid = try id(in: opened)
            #expect(try await bench.request("POST", "&sid=\(sid)", body: "40") == "ok")
            let polling = try id(in: try await bench.request("GET", "&sid=\(sid)"))
            try body(clients.map { try bench.socket($0) }, try #require(bench.io.main.socket(polling)))
            for client in clients { client.close() }
        }
    }

    private func id(in packet: String) throws -> String {
        let start = try #require(packet.firstRange(of: #""sid":""#)?.upperBound)
        return String(packet[start...].prefix { $0 != "\"" })
    }

    private static let threshold = Room.groupThreshold

    @Test func fewAreNoGroup() async throws {
        try await run(Self.threshold - 2) { sockets, polling in
            let room = Room()
            for socket in sockets + [polling] { room.add(socket) }
            room.becomeGroup()
            #expect(!room.isGroup && room.members.count == Self.threshold - 1 && room.others.isEmpty)
        }
    }

    @Test func manyAreAGroupAndWhoPollsIsToldApart() async throws {
        try await run(Self.threshold + 1) { sockets, polling in
            let room = Room()
            for socket in sockets.dropLast() + [polling, polling] { room.add(socket) }
            #expect(!room.isGroup)
            room.becomeGroup()
            #expect(room.isGroup && room.members.count == Self.threshold + 1)
            #expect(room.others == [polling])
            // Whoever comes later is sorted at once.
            room.add(sockets[Self.threshold])
            room.remove(polling)
            #expect(room.others.isEmpty)
            room.add(polling)
            #expect(room.others == [polling] && room.members.count == Self.threshold + 2)
            // It is still on long-polling.
            room.transportChanged(polling)
            #expect(room.others == [polling])
        }
    }

    @Test func whoComesDuringABroadcastJoinsTheGroupAfterIt() async throws {
        try await run(Self.threshold + 1) { sockets, polling in
            let room = Room()
            for socket in sockets.dropLast() { room.add(socket) }
            room.becomeGroup()
            room.sending += 2
            room.add(sockets[Self.threshold])
            #expect(room.others == [sockets[Self.threshold]])
            room.endSending()
            #expect(room.others == [sockets[Self.threshold]])
            room.endSending()
            #expect(room.others.isEmpty)
            // Who came and left again meanwhile is not brought back.
            room.sending += 1
            room.remove(sockets[0])
            room.add(sockets[0])
            room.remove(sockets[0])
            room.endSending()
            #expect(room.others.isEmpty && !room.members.contains(sockets[0]))
            room.remove(polling)
            #expect(room.members.count == Self.threshold)
        }
    }
}

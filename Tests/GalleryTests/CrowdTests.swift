// Who may call in a crowd, and how large.

import Synchronization
import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct CrowdTests {
    private final class Recorder: Crowd {
        struct Trouble: Error, CustomStringConvertible { let description = "no room" }
        let seconds = 60
        let asked = Mutex<[Int]>([])
        func set(_ members: Int) async throws {
            asked.withLock { $0.append(members) }
            if members == 13 { throw Trouble() }
        }
    }

    @Test func everyTabIsToldHowManyThereAre() async throws {
        let recorder = Recorder()
        try await serving(Chat(CrowdControl(recorder))) { url in
            try await WebSocketClient.connect(url + "/chat/crowd/a") { first in
                try await WebSocketClient.connect(url + "/chat/crowd/b") { second in
                    for socket in [first, second] { try await #expect(next("crowd", from: socket).contains("\"members\":0")) }
                    try await first.send("{\"set\":{\"members\":500}}")
                    for socket in [first, second] {
                        let crowd = try await next("crowd", from: socket)
                        #expect(crowd.contains("\"members\":500") && crowd.contains("\"seconds\":5"))
                    }
                    try await second.send("{\"set\":{\"members\":10001}}")
                    try await #expect(next("refused", from: second).contains("A crowd has 0 to 10000 members."))
                    try await second.send("{\"set\":{\"members\":13}}")
                    try await #expect(next("refused", from: second).contains("could not be called in: no room"))
                    #expect(recorder.asked.withLock { $0 } == [500, 13])
                }
            }
        }
    }

    @Test func withoutOneThereIsNoRoute() async throws {
        try await serving(Chat()) { url in
            await #expect(throws: (any Error).self) { try await WebSocketClient.connect(url + "/chat/crowd/a") { _ in } }
        }
    }
}

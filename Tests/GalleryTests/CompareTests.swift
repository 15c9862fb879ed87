// The comparison's server: its runs, and what each method counts.

import Foundation
import Testing
import WebSocketCore
import WebSockets

@testable import Gallery

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

@Suite(.timeLimit(.minutes(1))) struct CompareTests {
    private func comparing(_ body: (String) async throws -> Void) async throws {
        let server = WebSocketServer(port: 0)
        Compare().mount(on: server)
        try await serving(server, body)
    }

    private func get(_ url: String) async throws -> (Int, String) {
        let url = try #require(URL(string: url.replacing("ws://", with: "http://")))
        let (data, response) = try await URLSession.shared.data(from: url)
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
    }

    /// What a method has cost, once the report says that it had so many requests.
    private func counts(_ method: String, after requests: Int, _ control: WebSocket) async throws -> [String: Int] {
        while true {
            let report = try await next("counts", from: control)
            let json = try #require(try JSONSerialization.jsonObject(with: Data(report.utf8)) as? [String: [String: [String: Any]]])
            let methods = try #require(json["counts"]?["report"]?["methods"] as? [String: [String: Int]])
            if let counts = methods[method], counts["requests"] == requests { return counts }
        }
    }

    @Test func aRunLastsAsLongAsItsConnection() async throws {
        try await comparing { url in
            #expect(try await get(url + "/compare/a/polling").0 == 404)
            try await WebSocketClient.connect(url + "/compare/a/control") { control in
                try await control.send("{\"clock\":{\"sent\":12.5}}")
                #expect(try await next("clock", from: control).contains("\"sent\":12.5"))
                #expect(try await get(url + "/compare/a/polling").0 == 200)
                // Nobody else can take its name.
                try await WebSocketClient.connect(url + "/compare/a/control") { other in
                    #expect(await other.waitUntilClosed().code == .policyViolation)
                }
                #expect(try await get(url + "/compare/a/polling").0 == 200)
            }
        }
    }

    @Test func saysWhatItDoesNotTake() async throws {
        try await comparing { url in
            try await WebSocketClient.connect(url + "/compare/a/control") { control in
                for rate in ["0", "1001", "-1"] {
                    try await control.send("{\"set\":{\"rate\":\(rate)}}")
                    #expect(try await next("refused", from: control).contains("0.1 to 1000"))
                }
            }
            try await WebSocketClient.connect(url + "/compare/b/websocket") { socket in
                #expect(await socket.waitUntilClosed().code == .policyViolation)
            }
        }
    }

    @Test func everyMethodBringsTheSameEvents() async throws {
        try await comparing { url in
            try await WebSocketClient.connect(url + "/compare/a/control") { control in
                try await control.send("{\"set\":{\"rate\":200}}")
                try await WebSocketClient.connect(url + "/compare/a/websocket") { socket in
                    let event = try await next("number", from: socket)
                    #expect(event.contains("\"time\":") && event.contains("\"symbol\":\"DPX\""))
                    let number = try #require(event.firstMatch(of: /"number":(\d+)/)?.1)
                    #expect(try await get(url + "/compare/a/long-polling?after=\((Int(number) ?? 0) - 1)").1.contains(event))
                    #expect(
                        try await get(url + "/compare/a/polling?after=\((Int(number) ?? 0) - 1)").1.hasPrefix("[{\"number\":\(number),"))
                }
                let polling = try await counts("polling", after: 1, control)
                #expect(try #require(polling["events"]) >= 1 && polling["bytesDown", default: 0] > 200)
                let socket = try await counts("webSocket", after: 1, control)
                #expect(socket["bytesUp", default: 0] > 150 && socket["bytesDown", default: 0] > 150)
            }
        }
    }

    @Test func theSameIsAskedOverBoth() async throws {
        try await comparing { url in
            try await WebSocketClient.connect(url + "/compare/a/control") { control in
                #expect(try await get(url + "/compare/a/page").1 == GalleryFiles.text("gallery.css"))
                #expect(try await get(url + "/compare/a/question").1.contains("DPX"))
                try await WebSocketClient.connect(url + "/compare/a/socket-questions") { socket in
                    try await socket.send("?")
                    #expect(try await next("symbol", from: socket).contains("DPX"))
                }
                #expect(try await counts("pages", after: 1, control)["bytesDown", default: 0] > GalleryFiles.text("gallery.css").utf8.count)
                #expect(try await counts("socketQuestions", after: 1, control)["bytesUp", default: 0] > 100)
            }
        }
    }

    @Test func whatPassesOneConnectionIsTold() async throws {
        try await comparing { url in
            try await WebSocketClient.connect(url + "/compare/a/control") { control in
                try await WebSocketClient.connect(url + "/compare/a/inspected") { socket in
                    try await socket.send("Hello")
                    _ = try await socket.first { _ in true }
                    try await socket.send("{\"close\":{\"code\":4000,\"reason\":\"bye\"}}")
                    #expect(await socket.waitUntilClosed().code.rawValue == 4000)
                }
                var seen: [String] = []
                while seen.last?.contains("\"from\":\"end\"") != true { seen.append(try await next("passed", from: control)) }
                // GET, HTTP/1.1 101, the echo without a mask, and the close frame with its code and reason.
                #expect(seen[0].contains("\"bytes\":\"474554") && seen[0].contains("\"from\":\"client\""))
                #expect(seen.contains { $0.contains("\"bytes\":\"485454502f312e3120313031") && $0.contains("\"from\":\"server\"") })
                #expect(seen.contains { $0.contains("\"bytes\":\"810548656c6c6f\"") })
                #expect(seen.contains { $0.contains("\"bytes\":\"88050fa0627965\"") })
            }
        }
    }
}

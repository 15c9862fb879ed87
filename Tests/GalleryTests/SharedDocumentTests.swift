// Who is told what of a shared document.

import Foundation
import TestSupport
import Testing
import WebSockets

@testable import Gallery

@Suite(.timeLimit(.minutes(1))) struct SharedDocumentTests {
    private static let length = SharedDocument.State().text.count

    private func sharing(_ body: (String) async throws -> Void) async throws {
        let server = WebSocketServer(port: 0)
        SharedDocument().mount(on: server)
        try await serving(server, body)
    }

    private func edit(_ revision: Int, _ steps: String) -> String { "{\"edit\":{\"revision\":\(revision),\"edit\":[\(steps)]}}" }

    @Test func whatIsWrittenAtOnceMeets() async throws {
        try await sharing { url in
            try await WebSocketClient.connect(url + "/document/ann") { ann in
                try await WebSocketClient.connect(url + "/document/ben") { ben in
                    for socket in [ann, ben] {
                        try await socket.send("{\"open\":{\"name\":\"A\"}}")
                        #expect(try await next("document", from: socket).contains("\"revision\":0"))
                    }
                    // Both at revision 0; whoever is heard first is left.
                    try await ann.send(edit(0, "\"Ann \",\(Self.length)"))
                    #expect(try await next("edited", from: ann).contains("\"revision\":1"))
                    try await ben.send(edit(0, "\"Ben \",\(Self.length)"))
                    #expect(try await next("edited", from: ben).contains("[\"Ann \",\(Self.length)]"))
                    for socket in [ann, ben] {
                        let event = try await next("edited", from: socket)
                        #expect(event.contains("[4,\"Ben \",\(Self.length)]") && event.contains("\"user\":\"ben\""))
                    }
                    // A newcomer gets it all.
                    try await ben.send("{\"open\":{\"name\":\"B\"}}")
                    #expect(try await next("document", from: ben).contains("\"text\":\"Ann Ben Everyone"))
                }
            }
        }
    }

    @Test func whoWasAwayGetsWhatWasMissed() async throws {
        try await sharing { url in
            try await WebSocketClient.connect(url + "/document/ann") { ann in
                try await ann.send("{\"open\":{\"name\":\"A\"}}")
                let document = try await next("document", from: ann)
                let id = try #require(document.firstMatch(of: /"id":"(\w+)"/)?.1)
                for revision in 0..<3 {
                    try await ann.send(edit(revision, "\"x\",\(Self.length + revision)"))
                    _ = try await next("edited", from: ann)
                }
                try await WebSocketClient.connect(url + "/document/ben") { ben in
                    try await ben.send("{\"open\":{\"name\":\"B\",\"document\":\"\(id)\",\"revision\":1}}")
                    for revision in 2...3 { #expect(try await next("edited", from: ben).contains("\"revision\":\(revision)")) }
                    #expect(try await next("resumed", from: ben).contains("3"))
                    // Another document, or a revision that never was: all anew.
                    for known in ["\"document\":\"other\",\"revision\":1", "\"document\":\"\(id)\",\"revision\":9", "\"revision\":-1"] {
                        try await ben.send("{\"open\":{\"name\":\"B\",\(known)}}")
                        #expect(try await next("document", from: ben).contains("\"text\":\"xxxEveryone"))
                    }
                }
            }
        }
    }

    @Test func saysWhatItDoesNotTake() async throws {
        try await sharing { url in
            try await WebSocketClient.connect(url + "/document/ann") { ann in
                for (request, reason) in [
                    ("{\"cursor\":{\"at\":1}}", "Open the document first."),
                    ("{\"open\":{\"name\":\"\"}}", "A name must have 1 to 24 characters."),
                    (edit(1, "\(Self.length)"), "too old"),
                    (edit(-1, "\(Self.length)"), "too old"),
                    (edit(0, "\(Self.length - 1)"), "cover the whole text"),
                    (edit(0, "\(Self.length),\"\\r\\n\""), "line feed alone"),
                    (edit(0, "\(Self.length),\"\(String(repeating: "a", count: 20_000))\""), "20000 characters at most"),
                    (edit(0, "0"), "A step has 1 to 20000 characters."),
                    (edit(0, "\"a\""), "cover the whole text"),
                    (edit(0, (0..<501).map { _ in "1" }.joined(separator: ",")), "500 steps at most"),
                ] {
                    try await ann.send(request)
                    #expect(try await next("refused", from: ann).contains(reason))
                }
            }
        }
    }

    @Test func whatLateEditsAreTransformedByIsBounded() throws {
        var small = SharedDocument.State(), large = small
        let steps = try JSONDecoder().decode(TextEdit.self, from: Data("[\((0..<200).map { _ in "1,-1" }.joined(separator: ","))]".utf8))
        #expect(steps.steps.count == 400)
        for _ in 0..<1000 {
            small.note(SharedDocument.Edited(user: "a", edit: TextEdit()))
            large.note(SharedDocument.Edited(user: "a", edit: steps))
        }
        #expect(small.log.count == 500)
        #expect(large.log.count == 12)
    }

    @Test func caretsAreForTheOthersAndGoWithThem() async throws {
        try await sharing { url in
            try await WebSocketClient.connect(url + "/document/ann") { ann in
                try await ann.send("{\"open\":{\"name\":\"Ann\"}}")
                _ = try await next("document", from: ann)
                try await WebSocketClient.connect(url + "/document/ben") { ben in
                    try await ben.send("{\"open\":{\"name\":\"Ben\"}}")
                    _ = try await next("document", from: ben)
                    try await ben.send("{\"cursor\":{\"at\":3}}")
                    let cursor = try await next("cursor", from: ann)
                    #expect(cursor.contains("\"name\":\"Ben\"") && cursor.contains("\"at\":3"))
                }
                #expect(try await next("left", from: ann).contains("ben"))
            }
        }
    }
}

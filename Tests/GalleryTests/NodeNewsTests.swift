// What is taken for news of a node, and what is not.

import NIOCore
import PubSub
import Testing

@testable import Gallery

@Suite struct NodeNewsTests {
    static let figures = NodeFigures(id: "abcd1234", name: "127.0.0.1:8080", connections: 3, tabs: 2, names: ["Ada", "Ken"])
    static let line = NodeLine(node: "abcd1234", place: "127.0.0.1:8080", user: "u", name: "Ada", text: "hello <b>")

    private func read(_ text: String, isText: Bool = true) throws -> NodeNews {
        try NodeNews(Publication(topic: NodeNews.topic, payload: ByteBuffer(string: text), isText: isText))
    }

    private func crosses(_ news: NodeNews) -> Bool { (try? NodeNews(news.publication)) == news }

    @Test func whatANodeSaysIsUnderstood() {
        for news in [.here(node: Self.figures), .said(line: Self.line), .gone(id: "abcd1234")] as [NodeNews] {
            #expect(news.publication.topic == "nodes" && news.publication.isText)
            #expect(crosses(news))
        }
        for _ in 0..<100 { #expect(crosses(.gone(id: NodeNews.makeID()))) }
        // The longest that there are, each character escaped.
        let (text, name) = ("a" + String(repeating: "\u{1}", count: 499), "a" + String(repeating: "\u{1}", count: 31))
        let (place, user) = ("a" + String(repeating: "\u{1}", count: 63), String(repeating: "\u{1}", count: 64))
        #expect(crosses(.said(line: NodeLine(node: "abcd1234", place: place, user: user, name: name, text: text))))
        let names = Array(repeating: name, count: NodeNews.maxNames)
        #expect(crosses(.here(node: NodeFigures(id: "abcd1234", name: place, connections: 12, tabs: 12, names: names))))
    }

    @Test(arguments: [
        "", "nonsense", "[]", "{}", "null", "{\"here\":{}}", "{\"other\":{}}", "{\"gone\":{\"id\":1}}", "{\"gone\":{}}",
        "{\"gone\":{\"id\":\"abcd1234\"},\"said\":{}}", "{\"gone\":{\"id\":\"abcd1234\"}} ,",
        "{\"here\":{\"node\":{\"id\":\"abcd1234\",\"name\":\"n\",\"connections\":1e99,\"tabs\":0,\"names\":[]}}}",
        "{\"here\":{\"node\":{\"id\":\"abcd1234\",\"name\":\"n\",\"connections\":1,\"tabs\":0}}}",
        String(repeating: "[", count: 8000),
    ])
    func refusesWhatIsNoNews(_ text: String) {
        #expect(throws: Refusal.self) { try read(text) }
    }

    @Test func refusesBinaryAndWhatIsTooLarge() {
        let text = "{\"gone\":{\"id\":\"abcd1234\"}}"
        #expect((try? read(text)) == .gone(id: "abcd1234"))
        #expect(throws: Refusal.self) { try read(text, isText: false) }
        #expect((try? read(text + String(repeating: " ", count: NodeNews.maxBytes - text.utf8.count))) == .gone(id: "abcd1234"))
        #expect(throws: Refusal.self) { try read(text + String(repeating: " ", count: NodeNews.maxBytes + 1 - text.utf8.count)) }
    }

    @Test(arguments: ["", "abcd123", "abcd12345", "ABCD1234", "abcd 234", "abcd123é", "abcd123\n"]) func refusesIDs(_ id: String) {
        var (figures, line) = (Self.figures, Self.line)
        (figures.id, line.node) = (id, id)
        for news in [.here(node: figures), .said(line: line), .gone(id: id)] as [NodeNews] { #expect(!crosses(news)) }
    }

    @Test func refusesFiguresThatNoNodeHas() {
        let changes: [(inout NodeFigures) -> Void] = [
            { $0.name = "" }, { $0.name = " " }, { $0.name = String(repeating: "a", count: 65) }, { $0.connections = -1 },
            { $0.connections = 10_000_001 }, { $0.tabs = -1 }, { $0.tabs = 1 }, { $0.tabs = 10_000_001 }, { $0.names = ["Ada", ""] },
            { $0.names = ["Ada", String(repeating: "a", count: 33)] },
            { ($0.tabs, $0.names) = (13, Array(repeating: "a", count: 13)) },
        ]
        for (index, change) in changes.enumerated() {
            var figures = Self.figures
            change(&figures)
            #expect(!crosses(.here(node: figures)), "\(index)")
        }
    }

    @Test func refusesLinesThatNoTabMaySay() {
        let changes: [(inout NodeLine) -> Void] = [
            { $0.text = "" }, { $0.text = "\n" }, { $0.text = String(repeating: "a", count: 501) }, { $0.name = "" },
            { $0.name = String(repeating: "a", count: 33) }, { $0.place = "" }, { $0.place = String(repeating: "a", count: 65) },
            { $0.user = String(repeating: "a", count: 65) },
        ]
        for (index, change) in changes.enumerated() {
            var line = Self.line
            change(&line)
            #expect(!crosses(.said(line: line)), "\(index)")
        }
    }
}

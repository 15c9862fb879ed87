// Which path leads where.

import Testing

@testable import WebSockets

@Suite struct RouterTests {
    private func match(_ route: String, _ path: String) -> [String: String]? {
        var path = RoutePath(path)
        return Route(route) { _ in .reject(.text("")) }.match(&path)
    }

    @Test(arguments: [
        ("/", "/"), ("/echo", "/echo"), ("/a/b", "/a/b"), ("/echo", "/echo/"), ("/echo/", "//echo"), ("/a b", "/a%20b"), ("/a{b}", "/a{b}"),
        ("/{", "/{"),
    ])
    func fitsThePathItNames(_ route: String, _ path: String) { #expect(match(route, path) == [:]) }

    @Test(arguments: [
        ("/echo", "/"), ("/echo", "/Echo"), ("/echo", "/echo/more"), ("/echo", "/ech"), ("/a/b", "/a"), ("/a/b", "/a%2Fb"),
        ("/{name}", "/"), ("/a/{name}", "/a"), ("/a/{name}", "/a/"), ("/a/{name}", "/a/b/c"),
    ])
    func fitsNoOther(_ route: String, _ path: String) { #expect(match(route, path) == nil) }

    @Test func takesParameters() {
        #expect(match("/chat/{room}/{user}", "/chat/lobby/ann") == ["room": "lobby", "user": "ann"])
        #expect(match("/{a}", "/{b}") == ["a": "{b}"])
    }

    @Test(arguments: [("%20", " "), ("gr%C3%BC%c3%9fe", "grüße"), ("a%2Fb", "a/b"), ("%25", "%"), ("a+b", "a+b"), ("%2e%2e", "..")])
    func decodesPercents(_ text: String, _ decoded: String) { #expect(match("/{name}", "/" + text) == ["name": decoded]) }

    @Test(arguments: ["%", "%2", "%zz", "%+1", "%-1", "%1-", "%0d%0a", "%00", "%7f", "%ff", "%c3", "a%C0%AFb"])
    func refusesWhatDecodesToNothingGood(_ text: String) { #expect(match("/{name}", "/" + text) == nil) }

    @Test func theFirstThatFitsTakesIt() async throws {
        let core = ServerCore(.forTests())
        for path in ["/a/{x}", "/a/b", "/{y}/b"] { core.add(Route(path) { _ in .reject(.text(path)) }) }
        #expect(core.route("/a/b")?.1 == ["x": "b"])
        #expect(core.route("/c/b")?.1 == ["y": "c"])
        #expect(core.route("/c/d") == nil)
    }
}

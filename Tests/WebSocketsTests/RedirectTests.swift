import HTTPTypes
import Testing

@testable import WebSockets

@Suite struct RedirectTests {
    /// RFC 3986 §5.4, with the base made one of ours and the fragments gone.
    @Test(arguments: [
        ("g", "/b/c/g"), ("./g", "/b/c/g"), ("g/", "/b/c/g/"), ("/g", "/g"), ("?y", "/b/c/d;p?y"), ("g?y", "/b/c/g?y"),
        ("#s", "/b/c/d;p?q"), ("g#s", "/b/c/g"), ("g?y#s", "/b/c/g?y"), (";x", "/b/c/;x"), ("g;x", "/b/c/g;x"), ("", "/b/c/d;p?q"),
        (".", "/b/c/"), ("./", "/b/c/"), ("..", "/b/"), ("../", "/b/"), ("../g", "/b/g"), ("../..", "/"), ("../../", "/"),
        ("../../g", "/g"), ("../../../g", "/g"), ("../../../../g", "/g"), ("/./g", "/g"), ("/../g", "/g"), ("g.", "/b/c/g."),
        (".g", "/b/c/.g"), ("g..", "/b/c/g.."), ("..g", "/b/c/..g"), ("./../g", "/b/g"), ("./g/.", "/b/c/g/"), ("g/./h", "/b/c/g/h"),
        ("g/../h", "/b/c/h"), ("g;x=1/./y", "/b/c/g;x=1/y"), ("g;x=1/../y", "/b/c/y"), ("g?y/./x", "/b/c/g?y/./x"),
        ("g?y/../x", "/b/c/g?y/../x"),
    ])
    func resolves(reference: String, path: String) throws {
        #expect(Redirect.resolve(reference, try WebSocketURL("ws://a/b/c/d;p?q")) == "ws://a" + path)
    }

    @Test(arguments: [
        ("ws://b/x", "ws://b/x"), ("https://b/x", "wss://b/x"), ("//b:81/x", "ws://b:81/x"), ("/x", "ws://a:90/x"),
        ("http://a:90/b#c", "ws://a:90/b"),
    ])
    func leads(location: String, to url: String) throws {
        #expect(try redirect("ws://a:90/p", location).url.description == url)
    }

    @Test(arguments: ["ws://a/", "http://a/", "ws://b:443/"])
    func staysEncrypted(location: String) throws {
        let error = #expect(throws: ConnectError.self) { try redirect("wss://a/", location) }
        #expect(error?.kind == .redirect)
        #expect(error?.description.contains("not encrypted") == true)
    }

    @Test(arguments: ["ftp://a/", "ws://a b/", "mailto:x", "ws://[::1/"])
    func refusesWhatIsNoAddress(location: String) {
        #expect(throws: ConnectError.self) { try redirect("ws://a/", location) }
    }

    @Test func needsOneLocation() throws {
        let url = try WebSocketURL("ws://a/")
        #expect(throws: ConnectError.self) { try Redirect(from: url, HTTPResponse(status: .found)) }
        var fields: HTTPFields = [.location: "/a"]
        fields.append(HTTPField(name: .location, value: "/b"))
        #expect(throws: ConnectError.self) { try Redirect(from: url, HTTPResponse(status: .found, headerFields: fields)) }
    }

    @Test(arguments: [("/b", true), ("ws://a:80/b", true), ("ws://a:81/b", false), ("wss://a/b", false), ("ws://b/", false)])
    func leavesCredentialsBehind(location: String, keeps: Bool) throws {
        let base = try WebSocketURL("ws://a/")
        let fields: HTTPFields = [.authorization: "A", .cookie: "C", .proxyAuthorization: "P", .userAgent: "U"]
        let kept = try redirect("ws://a/", location).fields(from: base, fields)
        #expect(kept[.authorization] == (keeps ? "A" : nil))
        #expect(kept[.cookie] == (keeps ? "C" : nil))
        #expect(kept[.proxyAuthorization] == (keeps ? "P" : nil))
        #expect(kept[.userAgent] == "U")
    }

    @Test func takesCredentialsOfTheLocation() throws {
        let base = try WebSocketURL("ws://a/")
        // RFC 7617 §2's example
        let fields = try redirect("ws://a/", "ws://Aladdin:open%20sesame@b/").fields(from: base, [.authorization: "A"])
        #expect(fields[.authorization] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    }

    private func redirect(_ base: String, _ location: String) throws -> Redirect {
        try Redirect(from: WebSocketURL(base), HTTPResponse(status: .found, headerFields: [.location: location]))
    }
}

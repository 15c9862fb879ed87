// The pages: that all are there, that what they show is what runs, and that nothing in them comes from elsewhere.

import Foundation
import HTTPTypes
import NIOCore
import Testing
import WebSockets

@testable import Gallery

@Suite struct ExhibitionTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Sources/Gallery").standardized
    private static let entries = Exhibition().entries

    private func ask(_ path: String) -> ServerResponse? {
        Exhibition().respond(to: ServerRequest(head: HTTPRequest(method: .get, scheme: "http", authority: "a", path: path)))
    }

    private func text(_ response: ServerResponse?) -> String { response.map { String(buffer: $0.body) } ?? "" }

    /// What a page shows must be what was built.
    @Test(arguments: GalleryFiles.names) func whatIsEmbeddedIsTheFile(_ name: String) throws {
        let path = name.hasSuffix(".swift") ? name : "Resources/" + name
        #expect(try String(contentsOf: Self.folder.appending(path: path), encoding: .utf8) == GalleryFiles.text(name))
    }

    @Test(arguments: entries.map(\.name)) func everyExhibitHasItsPageAndItsSources(_ name: String) throws {
        let entry = try #require(Self.entries.first { $0.name == name })
        for file in entry.sources + [name + ".html"] { #expect(!GalleryFiles.text(file).isEmpty, "\(file) is not in CDuplexGallery.c") }
        let page = text(ask(entry.path + "?x"))
        #expect(page.contains("<h1>\(GalleryPage.escape(entry.title))</h1>"))
        #expect(page.contains("aria-current=\"page\""))
        for file in entry.sources {
            #expect(page.contains(GalleryPage.escape(GalleryFiles.text(file))))
            #expect(GalleryFiles.text(file).split(separator: "\n").count < 100, "\(file) is too long to be copied")
        }
        #expect(!GalleryPage.script(of: entry.page).isEmpty)
        #expect(page.contains(GalleryPage.escape(GalleryPage.script(of: entry.page))))
        // No part was left out, and nothing is set as markup.
        #expect(page.ranges(of: /<!--\w+-->/).isEmpty)
        for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] { #expect(!entry.page.contains(word)) }
        #expect(entry.page.ranges(of: /(src|href)="(https?:)?\/\//).isEmpty)
    }

    @Test func thePolicyLetsOnlyTheServersOwnScriptsRun() throws {
        let response = try #require(ask("/"))
        let policy = try #require(response.head.headerFields[.contentSecurityPolicy])
        let nonce = try #require(policy.firstMatch(of: /script-src 'self' 'nonce-(\w+)'/)?.1)
        #expect(policy.hasPrefix("default-src 'none'"))
        #expect(!policy.contains("unsafe"))
        #expect(text(response).contains("<script nonce=\"\(nonce)\">"))
        let other = try #require(ask("/")?.head.headerFields[.contentSecurityPolicy])
        #expect(other != policy, "a nonce is for one response")
    }

    @Test func theIndexLeadsToAllOfThem() {
        let page = text(ask("/"))
        for entry in Self.entries { #expect(page.contains("<h3>\(GalleryPage.escape(entry.title))</h3>")) }
    }

    @Test func servesItsFilesAndNothingElse() {
        #expect(ask("/gallery.css")?.head.headerFields[.contentType] == "text/css; charset=utf-8")
        #expect(ask("/gallery.js")?.head.headerFields[.contentType] == "text/javascript; charset=utf-8")
        for path in ["/chat.html", "/nothing", "/Chat.swift", "/../Package.swift"] { #expect(ask(path) == nil) }
    }

    @Test func partsAreFilledInOnceAndEscaped() {
        #expect(GalleryPage.fill("a<!--x-->b<!--x-->", ["x": "1"]) == "a1b<!--x-->")
        #expect(GalleryPage.escape("<a href=\"&\">") == "&lt;a href=&quot;&amp;&quot;&gt;")
        #expect(GalleryPage.script(of: "<script src=\"a\"></script><script>\nlet a\n</script>") == "let a\n")
        #expect(GalleryPage.script(of: "none") == "")
    }
}

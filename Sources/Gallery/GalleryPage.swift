// How a page comes about: its file, with the parts that all pages share put in the place of comments.

import HTTPTypes
import WebSockets

/// Pages, ready to be sent.
enum GalleryPage {
    /// The page at `/`.
    static func index(_ entries: [Entry]) -> ServerResponse {
        make(GalleryFiles.text("index.html"), ["bar": bar(entries, at: "/"), "exhibits": list(entries)])
    }

    /// An exhibit's page.
    static func exhibit(_ entry: Entry, among entries: [Entry]) -> ServerResponse {
        make(entry.page, ["bar": bar(entries, at: entry.path), "title": title(entry), "source": sources(entry)])
    }

    /// Only scripts and styles that stand in the page itself, or come from this server, are run: a nonce says so (CSP Level 3 §2.3.1).
    private static func make(_ template: String, _ parts: [String: String]) -> ServerResponse {
        let nonce = String(UInt64.random(in: .min ... .max), radix: 36) + String(UInt64.random(in: .min ... .max), radix: 36)
        var parts = parts
        parts["head"] = GalleryPage.head
        // The template's own tags only: what is shown of sources is escaped, and so has none.
        let html = fill(template, parts).replacing("<script", with: "<script nonce=\"\(nonce)\"")
            .replacing("<style", with: "<style nonce=\"\(nonce)\"")
        var response = ServerResponse.html(html)
        response.head.headerFields[.contentSecurityPolicy] = """
            default-src 'none'; style-src 'self' 'nonce-\(nonce)'; script-src 'self' 'nonce-\(nonce)'; connect-src 'self' ws: wss:; \
            img-src 'self' data: blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'
            """
        response.head.headerFields[.cacheControl] = "no-cache"
        return response
    }

    /// Puts parts in the place of the comments that name them.
    static func fill(_ template: String, _ parts: [String: String]) -> String {
        parts.reduce(template) { $0.replacing("<!--\($1.key)-->", with: $1.value, maxReplacements: 1) }
    }

    static func escape(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }

    // MARK: Parts

    private static let head = """
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
        <meta name="color-scheme" content="light dark">
        <meta name="theme-color" content="#f2f5f4" media="(prefers-color-scheme: light)">
        <meta name="theme-color" content="#0f1218" media="(prefers-color-scheme: dark)">
        <link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32' fill='none' stroke-width='5'\
        %3E%3Cpath d='M16 25a9 9 0 0 0 9-9V1' stroke='%23e0492f'/%3E%3Cpath d='M16 25a9 9 0 0 0 9-9 9 9 0 0 0-9-9' stroke='%23e0492f'/%3E\
        %3Cpath d='M16 7a9 9 0 0 0-9 9v15M7 16a9 9 0 0 0 9 9' stroke='%234a68f0'/%3E%3C/svg%3E">
        <link rel="stylesheet" href="/gallery.css">
        """

    /// The bar at the top: the way to every exhibit, and how the page's connection is.
    private static func bar(_ entries: [Entry], at path: String) -> String {
        let links = entries.map { (path: $0.path, title: $0.title) } + [(path: "/console", title: "Console")]
        let items = links.map { link in
            "<li><a href=\"\(link.path)\"\(link.path == path ? " aria-current=\"page\"" : "")>\(escape(link.title))</a></li>"
        }
        return """
            <a class="skip" href="#main">To the content</a>
            <header class="bar">
            <a class="mark" href="/" aria-label="Duplex: the gallery">\(wordmark)</a>
            <nav aria-label="Exhibits"><ul>\(items.joined())</ul></nav>
            <p class="link" id="link" role="status" data-state="none"></p>
            </header>
            """
    }

    private static let wordmark = """
        <svg viewBox="-6 -5 340 107" aria-hidden="true"><path class="s" d="M49.5 48a22 22 0 1 1-44 0 22 22 0 0 1 44 0zM49.5 0v74.5"/>\
        <path d="M74 21.5V48a22 22 0 0 0 44 0M118 21.5v53"/><path class="r" d="M186 48a22 22 0 1 1-44 0 22 22 0 0 1 44 0zM142 21.5v75.5"/>\
        <path d="M210 0v74.5M232 48h44a22 22 0 1 0-6.4 15.6"/><path class="s" d="M289 21.5l35 53"/><path class="r" d="M324 21.5l-35 53"/></svg>
        """

    private static func title(_ entry: Entry) -> String {
        """
        <div class="title"><h1>\(escape(entry.title))</h1>
        <p class="lede">\(escape(entry.summary))</p>
        <p class="aside"><a href="\(entry.path)" target="_blank" rel="noopener">Open a second tab</a></p></div>
        """
    }

    private static func list(_ entries: [Entry]) -> String {
        entries.map { entry in
            "<li><a href=\"\(entry.path)\"><h3>\(escape(entry.title))</h3><p>\(escape(entry.summary))</p></a></li>"
        }.joined(separator: "\n")
    }

    /// The code behind an exhibit: its own Swift file, the page's script, and what it shares with others.
    private static func sources(_ entry: Entry) -> String {
        var listings = entry.sources.map {
            listing($0, GalleryFiles.text($0), "swift", $0 == entry.sources.first ? "the server" : "shared")
        }
        listings.insert(listing(entry.name + ".html", script(of: entry.page), "js", "this page's script"), at: min(1, listings.count))
        listings.append(listing("gallery.js", GalleryFiles.text("gallery.js"), "js", "shared by all pages"))
        return """
            <section class="source" aria-labelledby="source-title"><h2 id="source-title">The code behind it</h2>
            \(listings.joined(separator: "\n"))
            </section>
            """
    }

    private static func listing(_ name: String, _ text: String, _ language: String, _ role: String) -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count - (text.hasSuffix("\n") ? 1 : 0)
        return """
            <details class="listing"\(role == "the server" ? " open" : "")><summary><b>\(escape(name))</b> \
            <span>\(role), \(lines) lines</span></summary>
            <pre tabindex="0" aria-label="\(escape(name))"><code data-language="\(language)">\(escape(text))</code></pre></details>
            """
    }

    /// The last script of a page, which is its own.
    static func script(of page: String) -> String {
        guard let start = page.ranges(of: "<script>").last?.upperBound, let end = page.ranges(of: "</script>").last?.lowerBound,
            start < end
        else { return "" }
        return String(page[start..<end].drop { $0.isNewline })
    }
}

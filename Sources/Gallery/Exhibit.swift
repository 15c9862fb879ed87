// What an exhibit is: its routes on the server, and what the gallery tells of it.

import WebSockets

/// The server's side of an exhibit.
protocol Exhibit: Sendable {
    /// Adds its routes to a server.
    func mount(on server: WebSocketServer)
    /// What it does by itself, such as a tick; ends when its task is cancelled.
    func run(on server: WebSocketServer) async
    /// The server is about to close its connections and to end.
    func drain()
}

extension Exhibit {
    /// Does nothing: most exhibits only answer.
    func run(on server: WebSocketServer) async {}
    /// Does nothing: most exhibits have nobody to tell.
    func drain() {}
}

/// An exhibit's entry in the catalogue.
struct Entry: Sendable {
    /// Its page is `/name`, made of `Resources/name.html`.
    let name: String
    let title: String
    /// What it shows, in a sentence.
    let summary: String
    /// The Swift files that its page shows, its own first.
    let sources: [String]
    let exhibit: any Exhibit

    init(
        _ name: String, _ title: String, _ summary: String, sources: [String], _ exhibit: any Exhibit
    ) {
        self.name = name
        self.title = title
        self.summary = summary
        self.sources = sources
        self.exhibit = exhibit
    }

    var path: String { "/" + name }
    var page: String { GalleryFiles.text(name + ".html") }
}

// The gallery as a whole, as a server mounts it: what WebSockets are for, running.

import HTTPTypes
public import WebSockets

/// The gallery: pages at `/` and `/name`, and a WebSocket route for each exhibit.
public final class Exhibition: Sendable {
    let entries: [Entry]

    /// The first levels of the exhibits' topics.
    private static let topics: Set<Substring> = [
        "auction", "chat", "commands", "compare", "dashboard", "devices", "document", "game", "live", "nodes",
        "notifications", "ticker",
    ]

    /// Whether a topic is one of the gallery's: what is said there concerns this server alone.
    public static func hasTopic(_ topic: String) -> Bool {
        topics.contains(topic[..<(topic.utf8.firstIndex(of: UInt8(ascii: "/")) ?? topic.endIndex)])
    }

    /// Makes a gallery.
    ///
    /// - Parameters:
    ///   - crowd: who simulates members for the chat; nil to do without.
    ///   - cluster: the way to the galleries of other nodes; nil if there are none.
    public init(crowd: (any Crowd)? = nil, cluster: GalleryCluster? = nil) {
        entries = Catalogue.entries(crowd: crowd, cluster: cluster)
    }

    /// Adds the routes of all exhibits to a server.
    public func mount(on server: WebSocketServer) {
        for entry in entries { entry.exhibit.mount(on: server) }
    }

    /// Does what exhibits do by themselves, such as ticks, until the task is cancelled.
    public func run(on server: WebSocketServer) async {
        await withTaskGroup(of: Void.self) { group in
            for entry in entries { group.addTask { await entry.exhibit.run(on: server) } }
        }
    }

    /// Says farewell where that is due, when the server is about to close its connections and to end.
    public func drain() { for entry in entries { entry.exhibit.drain() } }

    /// Answers a request for one of the gallery's pages or files; nil for anything else.
    public func respond(to request: ServerRequest) -> ServerResponse? {
        let path = request.path
        switch path {
        case "/": return GalleryPage.index(entries)
        case "/gallery.css": return Self.file("gallery.css", type: "text/css; charset=utf-8")
        case "/gallery.js": return Self.file("gallery.js", type: "text/javascript; charset=utf-8")
        default: return entries.first { $0.path == path }.map { GalleryPage.exhibit($0, among: entries) }
        }
    }

    private static func file(_ name: String, type: String) -> ServerResponse {
        var response = ServerResponse.text(GalleryFiles.text(name))
        response.head.headerFields[.contentType] = type
        response.head.headerFields[.cacheControl] = "no-cache"
        return response
    }
}

// All exhibits, in the order of the gallery. A new one: an entry here, its files in `CDuplexGallery.c`.

/// All exhibits.
enum Catalogue {
    /// What most exhibits stand on.
    private static let shared = ["Conversation.swift", "RateLimit.swift"]

    static func entries(crowd: (any Crowd)?, cluster: GalleryCluster?) -> [Entry] {
        let crowd = crowd.map { CrowdControl($0) }
        return [
            Entry(
                "compare", "Comparison",
                "The same events by short polling, long polling, Server-Sent Events and WebSocket: delay, requests, bytes, work, as you watch.",
                sources: [
                    "Compare.swift", "CompareRun.swift", "CompareLedger.swift", "EventLog.swift", "ComparePlain.swift", "CompareWire.swift",
                ] + shared, Compare()),
            Entry(
                "chat", "Group chat", "Rooms, who is here, who is typing, and what was said before. Then let ten thousand people in.",
                sources: ["Chat.swift", "Crowd.swift"] + shared, Chat(crowd)),
            Entry(
                "notifications", "Notifications", "To every tab of one user at once; acknowledged in one, it is gone from all.",
                sources: ["Notifications.swift"] + shared, Notifications()),
            Entry(
                "dashboard", "Dashboard",
                "This very server: its CPU, memory, connections and messages, measured and pushed twice a second.",
                sources: ["Dashboard.swift", "ProcessFigures.swift"], Dashboard()),
            Entry(
                "ticker", "Ticker", "Three thousand prices a second. A tab that is too slow gets the latest of each, and no backlog.",
                sources: ["Ticker.swift"] + shared, Ticker()),
            Entry(
                "auction", "Auction", "Bids come in one order for everyone; the server decides the highest, and the hammer is the hammer.",
                sources: ["Auction.swift"] + shared, Auction()),
            Entry(
                "game", "Game", "The server says where everyone is, thirty times a second; the page runs ahead, and is put right.",
                sources: ["Game.swift", "GameWorld.swift"] + shared, Game()),
            Entry(
                "document", "Shared document", "Everyone writes at once, with or without a line, and all come to the same text.",
                sources: ["SharedDocument.swift", "TextEdit.swift"] + shared, SharedDocument()),
            Entry(
                "live", "Live stream", "One tab records what it draws and plays, the others watch; who is slow skips to a key frame.",
                sources: ["LiveStream.swift"] + shared, LiveStream()),
            Entry(
                "devices", "Devices", "Sensors publish under topics. Subscribe to many by a wildcard, and turn them off and on.",
                sources: ["Devices.swift"] + shared, Devices()),
            Entry(
                "support", "Support chat", "A queue, agents and hand-over, on Socket.IO. Cut the line: nothing is missed.",
                sources: ["Support.swift", "Desk.swift", "DeskCase.swift", "RateLimit.swift"], Support()),
            Entry(
                "nodes", "Nodes",
                "Several servers are one: a tab on one talks to a tab on another, and a node that dies goes from the list.",
                sources: ["Nodes.swift", "NodeRoom.swift", "NodeTable.swift", "NodeNews.swift", "GalleryCluster.swift"] + shared,
                Nodes(cluster)),
        ]
    }
}

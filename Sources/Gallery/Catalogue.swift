// All exhibits, in the order of the gallery. A new one: an entry here, its files in `CDuplexGallery.c`.

/// All exhibits.
enum Catalogue {
    /// What most exhibits stand on.
    private static let shared = ["Conversation.swift", "RateLimit.swift"]

    static func entries(crowd: (any Crowd)?) -> [Entry] {
        let crowd = crowd.map { CrowdControl($0) }
        return [
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
                "devices", "Devices", "Sensors publish under topics. Subscribe to many by a wildcard, and turn them off and on.",
                sources: ["Devices.swift"] + shared, Devices()),
        ]
    }
}

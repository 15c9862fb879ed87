// All exhibits, in the order of the gallery. A new one: a line here, its files in `CDuplexGallery.c`.

/// All exhibits.
enum Catalogue {
    static func entries(crowd: (any Crowd)?) -> [Entry] {
        let crowd = crowd.map { CrowdControl($0) }
        return [
            Entry(
                "chat", "Group chat", "Rooms, who is here, who is typing, and what was said before. Then let ten thousand people in.",
                sources: ["Chat.swift", "Crowd.swift", "Conversation.swift", "RateLimit.swift"], Chat(crowd))
        ]
    }
}

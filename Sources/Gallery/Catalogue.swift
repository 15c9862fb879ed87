// All exhibits, in the order of the gallery. A new one: a line here, its files in `CDuplexGallery.c`.

/// All exhibits.
enum Catalogue {
    static func entries(crowd: (any Crowd)?) -> [Entry] {
        let crowd = crowd.map { CrowdControl($0) }
        return [
            Entry(
                "chat", "Group chat", "Rooms, who is here, who is typing, and what was said before. Then let ten thousand people in.",
                sources: ["Chat.swift", "Crowd.swift", "Conversation.swift", "RateLimit.swift"], Chat(crowd)),
            Entry(
                "game", "Game", "The server says where everyone is, thirty times a second; the page runs ahead, and is put right.",
                sources: ["Game.swift", "GameWorld.swift", "Conversation.swift"], Game()),
            Entry(
                "document", "Shared document", "Everyone writes at once, with or without a line, and all come to the same text.",
                sources: ["SharedDocument.swift", "TextEdit.swift", "Conversation.swift"], SharedDocument()),
            Entry(
                "live", "Live stream", "One tab records what it draws and plays, the others watch; who is slow skips to a key frame.",
                sources: ["LiveStream.swift", "Conversation.swift"], LiveStream()),
            Entry(
                "support", "Support chat", "A queue, agents and hand-over, on Socket.IO. Cut the line: nothing is missed.",
                sources: ["Support.swift", "Desk.swift"], Support()),
        ]
    }
}

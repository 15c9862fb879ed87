// By what Redis knows a connection: redis.io, "CLIENT INFO".

/// A connection as Redis knows it. Its number alone would be somebody else's after Redis has started again.
struct RedisConnectionName: Sendable, Hashable {
    let id: String
    let address: String

    /// Reads an answer to `CLIENT INFO`, `id=7 addr=127.0.0.1:5000 …`; nil if they are not in it. In RESP3 the text begins with its kind.
    init?(info: String) {
        var members: [Substring: Substring] = [:]
        let text = info.hasPrefix("txt:") ? info.dropFirst(4) : info[...]
        for member in text.split(separator: " ") {
            guard let end = member.firstIndex(of: "=") else { continue }
            members[member[..<end]] = member[member.index(after: end)...]
        }
        guard let id = members["id"], let address = members["addr"] else { return nil }
        (self.id, self.address) = (String(id), String(address))
    }
}

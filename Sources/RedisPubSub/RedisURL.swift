// Where Redis is: `redis://[[user][:password]@]host[:port][/database]`, `rediss://` with TLS; as IANA has registered the scheme.

/// The address of a Redis server, and who connects.
public struct RedisURL: Sendable, Hashable, CustomStringConvertible {
    /// The host's name or address.
    public var host: String
    /// The port; 6379 unless another one is named.
    public var port: Int
    /// The user; nil for Redis's default one.
    public var user: String?
    /// The password; nil for none.
    public var password: String?
    /// The database; publish/subscribe is the same in all of them.
    public var database: Int
    /// Whether the connection is made with TLS.
    public var isTLS: Bool

    /// Makes an address.
    public init(
        host: String = "127.0.0.1", port: Int = 6379, user: String? = nil, password: String? = nil, database: Int = 0, isTLS: Bool = false
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.database = database
        self.isTLS = isTLS
    }

    /// Reads an address; user and password may be percent-encoded.
    ///
    /// - Throws: `RedisURLError` that says what is wrong, without the password.
    public init(_ text: String) throws(RedisURLError) {
        let isTLS = text.lowercased().hasPrefix("rediss://")
        guard isTLS || text.lowercased().hasPrefix("redis://") else { throw RedisURLError("it begins with neither redis:// nor rediss://") }
        let rest = text.dropFirst(isTLS ? 9 : 8)
        let authorityEnd =
            rest.lastIndex(of: "@").flatMap { at in rest[at...].firstIndex(of: "/") }
            ?? (rest.contains("@") ? rest.endIndex : rest.firstIndex(of: "/") ?? rest.endIndex)
        let authority = rest[..<authorityEnd]
        self.init(isTLS: isTLS)
        database = try Self.database(rest[authorityEnd...])
        let at = authority.lastIndex(of: "@")
        if let at { (user, password) = try Self.credentials(authority[..<at]) }
        (host, port) = try Self.address(at.map { authority[authority.index(after: $0)...] } ?? authority)
    }

    /// The address without the password.
    public var description: String {
        let who = password == nil ? "" : "\(user ?? "")…@"
        return
            "\(isTLS ? "rediss" : "redis")://\(who)\(host.contains(":") ? "[\(host)]" : host):\(port)\(database == 0 ? "" : "/\(database)")"
    }

    private static func database(_ path: Substring) throws(RedisURLError) -> Int {
        if path.isEmpty || path == "/" { return 0 }
        guard let number = Int(path.dropFirst()), number >= 0 else {
            throw RedisURLError("what follows the host is not the number of a database")
        }
        return number
    }

    private static func credentials(_ text: Substring) throws(RedisURLError) -> (String?, String?) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let user = try decoded(parts[0])
        guard parts.count == 2 else { throw RedisURLError("there is a user and no password: write user:password@ or :password@") }
        return (user.isEmpty ? nil : user, try decoded(parts[1]))
    }

    private static func decoded(_ text: Substring) throws(RedisURLError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, digits.allSatisfy(\.isHexDigit), let value = UInt8(digits, radix: 16) else {
                throw RedisURLError("a % in user or password is not followed by two hexadecimal digits: write %25 for it")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw RedisURLError("user or password is not UTF-8") }
        return text
    }

    private static func address(_ text: Substring) throws(RedisURLError) -> (String, Int) {
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw RedisURLError("the address has [ without ]") }
            return (String(text[text.index(after: text.startIndex)..<end]), try port(text[text.index(after: end)...]))
        }
        let colon = text.firstIndex(of: ":") ?? text.endIndex
        guard colon > text.startIndex else { throw RedisURLError("there is no host") }
        return (String(text[..<colon]), try port(text[colon...]))
    }

    private static func port(_ text: Substring) throws(RedisURLError) -> Int {
        if text.isEmpty { return 6379 }
        guard text.first == ":", let port = Int(text.dropFirst()), 1...65535 ~= port else {
            throw RedisURLError("the port is not 1 to 65535")
        }
        return port
    }
}

/// A text is not the address of a Redis server.
public struct RedisURLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong, and how it is written.
    public let description: String

    init(_ what: String) { description = "not the address of a Redis server, redis://[[user]:password@]host[:port][/database]: \(what)" }
}

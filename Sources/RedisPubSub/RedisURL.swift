// Where Redis is: `redis://[[user][:password]@]host[:port][/database]`, `rediss://` with TLS; as IANA has registered the scheme. By way of
// Sentinels: `redis+sentinel://[[user][:password]@]host[:port],host[:port],…/master[/database]`, as other clients have it.

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
    /// Whether the connection is made with TLS; those to Sentinels as well.
    public var isTLS: Bool
    /// Who says where the master is, in the place of `host` and `port`; nil for nobody.
    public var sentinel: RedisSentinel?

    /// Makes an address.
    public init(
        host: String = "127.0.0.1", port: Int = 6379, user: String? = nil, password: String? = nil, database: Int = 0, isTLS: Bool = false,
        sentinel: RedisSentinel? = nil
    ) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.database = database
        self.isTLS = isTLS
        self.sentinel = sentinel
    }

    /// Reads an address; user and password may be percent-encoded.
    ///
    /// - Throws: `RedisURLError` that says what is wrong, without the password.
    public init(_ text: String) throws(RedisURLError) {
        guard let (scheme, isTLS, isSentinel) = Self.schemes.first(where: { text.lowercased().hasPrefix($0.0 + "://") }) else {
            throw RedisURLError("it begins with neither redis:// nor rediss://")
        }
        let rest = text.dropFirst(scheme.count + 3)
        let authorityEnd =
            rest.lastIndex(of: "@").flatMap { at in rest[at...].firstIndex(of: "/") }
            ?? (rest.contains("@") ? rest.endIndex : rest.firstIndex(of: "/") ?? rest.endIndex)
        let authority = rest[..<authorityEnd]
        self.init(isTLS: isTLS)
        let at = authority.lastIndex(of: "@")
        if let at { (user, password) = try Self.credentials(authority[..<at]) }
        let hosts = at.map { authority[authority.index(after: $0)...] } ?? authority
        guard isSentinel else {
            database = try Self.database(rest[authorityEnd...])
            (host, port) = try Self.address(hosts, defaultPort: 6379)
            return
        }
        let path = rest[authorityEnd...].dropFirst()
        let slash = path.firstIndex(of: "/") ?? path.endIndex
        database = try Self.database(path[slash...])
        let sentinel = RedisSentinel(addresses: try Self.sentinels(hosts), master: try Self.decoded(path[..<slash]))
        guard !sentinel.master.isEmpty else { throw RedisURLError("the master's name is missing: redis+sentinel://host:26379,…/name") }
        self.sentinel = sentinel
        if let first = sentinel.addresses.first { (host, port) = (first.host, first.port) }
    }

    private static let schemes = [
        ("redis", false, false), ("rediss", true, false), ("redis+sentinel", false, true), ("rediss+sentinel", true, true),
    ]

    private static func sentinels(_ text: Substring) throws(RedisURLError) -> [RedisSentinel.Address] {
        var addresses: [RedisSentinel.Address] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let (host, port) = try address(part, defaultPort: 26_379)
            addresses.append(RedisSentinel.Address(host: host, port: port))
        }
        return addresses
    }

    /// The address without the password.
    public var description: String {
        let who = password == nil ? "" : "\(user ?? "")…@"
        let (scheme, path) = (isTLS ? "rediss" : "redis", database == 0 ? "" : "/\(database)")
        guard let sentinel else { return "\(scheme)://\(who)\(RedisSentinel.Address(host: host, port: port))\(path)" }
        let hosts = sentinel.addresses.map(\.description).joined(separator: ",")
        return "\(scheme)+sentinel://\(who)\(hosts)/\(sentinel.master)\(path)"
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

    private static func address(_ text: Substring, defaultPort: Int) throws(RedisURLError) -> (String, Int) {
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw RedisURLError("the address has [ without ]") }
            return (String(text[text.index(after: text.startIndex)..<end]), try port(text[text.index(after: end)...], defaultPort))
        }
        let colon = text.firstIndex(of: ":") ?? text.endIndex
        guard colon > text.startIndex else { throw RedisURLError("there is no host") }
        return (String(text[..<colon]), try port(text[colon...], defaultPort))
    }

    private static func port(_ text: Substring, _ defaultPort: Int) throws(RedisURLError) -> Int {
        if text.isEmpty { return defaultPort }
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

    init(_ what: String) {
        description =
            "not the address of a Redis server, redis://[[user]:password@]host[:port][/database], nor of its Sentinels, "
            + "redis+sentinel://[[user]:password@]host[:port],…/master[/database]: \(what)"
    }
}

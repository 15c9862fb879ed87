import Testing

@testable import RedisPubSub

@Suite struct RedisURLTests {
    @Test(arguments: [
        ("redis://example.com", RedisURL(host: "example.com")),
        ("redis://example.com:7000/3", RedisURL(host: "example.com", port: 7000, database: 3)),
        ("rediss://h/", RedisURL(host: "h", isTLS: true)),
        ("REDIS://h", RedisURL(host: "h")),
        ("redis://:secret@h", RedisURL(host: "h", password: "secret")),
        ("redis://ada:p%40ss%2F%3A@h:1", RedisURL(host: "h", port: 1, user: "ada", password: "p@ss/:")),
        ("redis://ada:a:b@h", RedisURL(host: "h", user: "ada", password: "a:b")),
        ("redis://ada:a/b@h/2", RedisURL(host: "h", user: "ada", password: "a/b", database: 2)),
        ("redis://[::1]:7/1", RedisURL(host: "::1", port: 7, database: 1)),
        ("redis://[fe80::1]", RedisURL(host: "fe80::1")),
        ("redis+sentinel://a,b:7/m", sentinel([("a", 26_379), ("b", 7)], "m")),
        ("redis+sentinel://[::1]:7,[::2]/m/", sentinel([("::1", 7), ("::2", 26_379)], "m")),
        ("rediss+sentinel://ada:p%40@a/m%20x/3", sentinel([("a", 26_379)], "m x", user: "ada", password: "p@", database: 3, isTLS: true)),
    ]) func reads(text: String, url: RedisURL) throws { #expect(try RedisURL(text) == url) }

    private static func sentinel(
        _ addresses: [(String, Int)], _ master: String, user: String? = nil, password: String? = nil, database: Int = 0, isTLS: Bool = false
    ) -> RedisURL {
        RedisURL(
            host: addresses[0].0, port: addresses[0].1, user: user, password: password, database: database, isTLS: isTLS,
            sentinel: RedisSentinel(addresses: addresses.map { .init(host: $0.0, port: $0.1) }, master: master))
    }

    @Test(arguments: [
        "", "http://h", "redis:h", "redis://", "redis://:1", "redis://h:0", "redis://h:65536", "redis://h:x", "redis://h/x", "redis://h/-1",
        "redis://ada@h", "redis://:%4@h", "redis://:%zz@h", "redis://:%+1@h", "redis://:%ff@h", "redis://[::1", "redis://[::1]x",
        "redis+sentinel://a", "redis+sentinel://a/", "redis+sentinel:///m", "redis+sentinel://a,/m", "redis+sentinel://a/m/x",
        "redis+other://a/m",
    ]) func refuses(text: String) { #expect(throws: RedisURLError.self) { try RedisURL(text) } }

    @Test func showsNoPassword() throws {
        #expect(try RedisURL("rediss://ada:secret@h/2").description == "rediss://ada…@h:6379/2")
        #expect(try RedisURL("redis://[::1]").description == "redis://[::1]:6379")
        #expect(try RedisURL("redis+sentinel://:secret@a,[::1]:7/m/2").description == "redis+sentinel://…@a:26379,[::1]:7/m/2")
        #expect(throws: RedisURLError.self) { try RedisURL("redis://:secret@h/x") }
        do { _ = try RedisURL("redis://:secret@h/x") } catch { #expect(!"\(error)".contains("secret")) }
    }
}

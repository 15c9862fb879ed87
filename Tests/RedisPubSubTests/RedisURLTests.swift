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
    ]) func reads(text: String, url: RedisURL) throws { #expect(try RedisURL(text) == url) }

    @Test(arguments: [
        "", "http://h", "redis:h", "redis://", "redis://:1", "redis://h:0", "redis://h:65536", "redis://h:x", "redis://h/x", "redis://h/-1",
        "redis://ada@h", "redis://:%4@h", "redis://:%zz@h", "redis://:%+1@h", "redis://:%ff@h", "redis://[::1", "redis://[::1]x",
    ]) func refuses(text: String) { #expect(throws: RedisURLError.self) { try RedisURL(text) } }

    @Test func showsNoPassword() throws {
        #expect(try RedisURL("rediss://ada:secret@h/2").description == "rediss://ada…@h:6379/2")
        #expect(try RedisURL("redis://[::1]").description == "redis://[::1]:6379")
        #expect(throws: RedisURLError.self) { try RedisURL("redis://:secret@h/x") }
        do { _ = try RedisURL("redis://:secret@h/x") } catch { #expect(!"\(error)".contains("secret")) }
    }
}

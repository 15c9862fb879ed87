import PubSub
import Testing

@testable import RedisPubSub

@Suite struct RedisPatternTests {
    @Test(arguments: [
        ("a/b", "p:a/b"), ("a/+/b", "p:a/*/b"), ("a/#", "p:a*"), ("#", "p:*"), ("+", "p:*"), ("+/+", "p:*/*"), ("a/+", "p:a/*"),
        ("/", "p:/"), ("a*[b]?\\/+", "p:a\\*\\[b\\]\\?\\\\/*"), ("+/#", "p:**"),
    ]) func isOneOfRediss(pattern: String, redis: String) throws { #expect(try TopicPattern(pattern).redisPattern(prefix: "p:") == redis) }

    @Test func escapesThePrefix() throws { #expect(try TopicPattern("+").redisPattern(prefix: "[a]*") == "\\[a\\]\\**") }
}

import PubSub
import Testing

@Suite struct TopicPatternTests {
    @Test func noPatternTakesTheLibrarysOwnTopics() throws {
        for (pattern, topic) in [("#", "\0x"), ("+/a", "\0x/a")] { #expect(try !TopicPattern(pattern).matches(topic)) }
        #expect(TopicFilter.topic("\0x").matches("\0x"))
    }

    @Test(arguments: [
        ("a", "a", true), ("a", "b", false), ("a", "a/b", false), ("a/b", "a", false),
        ("+", "a", true), ("+", "a/b", false), ("+", "", true), ("+/+", "/", true), ("/+", "/a", true), ("+", "/a", false),
        ("a/+/c", "a/b/c", true), ("a/+/c", "a/b/d", false), ("a/+/c", "a/c", false), ("a/+", "a/", true), ("a/+", "a", false),
        ("#", "a", true), ("#", "a/b/c", true), ("a/#", "a", true), ("a/#", "a/b", true), ("a/#", "a/b/c", true), ("a/#", "ab", false),
        ("+/b/#", "a/b", true), ("+/b/#", "a/b/c/d", true), ("+/b/#", "a/c", false), ("a//b", "a//b", true), ("a//b", "a/b", false),
    ])
    func takesWhatMQTTSays(_ pattern: String, _ topic: String, _ expected: Bool) throws {
        #expect(try TopicPattern(pattern).matches(topic) == expected)
    }

    @Test(arguments: ["", "a+", "+a", "a/b#", "#/a", "a/#/b", "##", "a/++"])
    func refusesWildcardsOutOfPlace(_ text: String) {
        #expect(throws: TopicError.self) { try TopicPattern(text) }
    }

    @Test func saysWhatIsWrong() {
        #expect(throws: TopicError("a topic pattern must not be empty")) { try TopicPattern("") }
        #expect(throws: TopicError("the topic pattern a/#/b has # before its end: it stands for all that follows")) {
            try TopicPattern("a/#/b")
        }
        #expect(throws: TopicError("the topic pattern a+ has a wildcard beside other text: + and # stand alone between slashes")) {
            try TopicPattern("a+")
        }
    }

    @Test func aNameIsNoPattern() {
        #expect(TopicFilter.topic("a/#").matches("a/#"))
        #expect(!TopicFilter.topic("a/#").matches("a/b"))
        #expect(!TopicFilter.topic("+").matches("a"))
    }
}

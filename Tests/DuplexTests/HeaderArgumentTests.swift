import HTTPTypes
import Testing

@testable import duplex

struct HeaderArgumentTests {
    @Test(arguments: [
        ("Authorization: Bearer abc", "Authorization", "Bearer abc"),
        ("X-Empty:", "X-Empty", ""),
        ("X-Blank: \t ", "X-Blank", ""),
        ("X-Tight:a", "X-Tight", "a"),
        ("X-Url:  http://a:80/ \t", "X-Url", "http://a:80/"),
        ("X-Inner: a  b", "X-Inner", "a  b"),
    ])
    func parses(_ argument: String, _ name: String, _ value: String) throws {
        let header = try #require(HeaderArgument(argument: argument))
        #expect(header.field.name.rawName == name)
        #expect(header.field.value == value)
    }

    @Test(arguments: ["", "NoColon", ": value", "Na me: value", "Name : value", "Näme: value", "A: b\r\nC: d", "A: b\nC: d", "A: \0"])
    func refuses(_ argument: String) { #expect(HeaderArgument(argument: argument) == nil) }
}

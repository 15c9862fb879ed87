import NIOCore
import Testing
import WebSockets

@testable import duplex

struct StyleTests {
    private let mono = Style(isTerminal: true, hasColour: false)
    private let colourful = Style(isTerminal: true, hasColour: true)

    @Test func leavesAPipeAlone() {
        #expect(Style.plain.line(.text("a\u{1B}[2J\nb")) == ByteBuffer(string: "a\u{1B}[2J\nb"))
        #expect(Style.plain.line(.binary([0, 255])) == ByteBuffer(bytes: [0, 255]))
    }

    @Test func marksMessagesOnATerminal() {
        #expect(mono.line(.text("hi")) == ByteBuffer(string: "< hi"))
        #expect(mono.line(.text("")) == ByteBuffer(string: "< "))
        #expect(mono.line(.text("a\u{1B}[2J\nb")) == ByteBuffer(string: "< a\\u{1b}[2J\\nb"))
        #expect(mono.line(.binary([0, 255])) == ByteBuffer(string: "< binary, 2 bytes: 00 ff |..|"))
    }

    @Test func colours() {
        #expect(colourful.line(.text("a\nb")) == ByteBuffer(string: "\u{1B}[36m<\u{1B}[0m a\u{1B}[2m\\n\u{1B}[0mb"))
        #expect(mono.paint("x", .red) == "x")
    }

    @Test func coloursOnlyWhereWanted() {
        #expect(Style(isTerminal: true, noColour: nil, term: "xterm").hasColour)
        #expect(Style(isTerminal: true, noColour: "", term: "xterm").hasColour)
        #expect(!Style(isTerminal: true, noColour: "1", term: "xterm").hasColour)
        #expect(!Style(isTerminal: true, noColour: nil, term: "dumb").hasColour)
        #expect(!Style(isTerminal: true, noColour: nil, term: nil).hasColour)
        #expect(!Style(isTerminal: false, noColour: nil, term: "xterm").hasColour)
    }
}

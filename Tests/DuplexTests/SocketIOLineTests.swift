// What is typed to a Socket.IO server: SocketIOLine.swift.

import ArgumentParser
import NIOCore
import SocketIO
import Testing

@testable import duplex

@Suite struct SocketIOLineTests {
    @Test func aNameAndItsArguments() throws {
        #expect(try SocketIOLine("ping") == SocketIOLine(event: "ping", arguments: []))
        #expect(try SocketIOLine("  add 1, 2 ") == SocketIOLine(event: "add", arguments: [1, 2]))
        #expect(
            try SocketIOLine(#""chat \"message\"" {"a": [null, true]}"#)
                == SocketIOLine(event: #"chat "message""#, arguments: [["a": [nil, true]]]))
    }

    @Test(arguments: ["", "   ", "say hello", "add 1,", "add ]", "connect 1", #""open"#, #""a" 1 2"#]) func someAreNone(line: String) {
        #expect(throws: NotAnEvent.self) { try SocketIOLine(line) }
    }

    @Test func whatIsNoTextIsNoLine() throws {
        #expect(try SocketIOLine(utf8: ByteBuffer(string: "grüße 1")) == SocketIOLine(event: "grüße", arguments: [1]))
        #expect(throws: NotAnEvent(reason: "it is not UTF-8")) { try SocketIOLine(utf8: ByteBuffer(bytes: [0x61, 0xFF])) }
    }

    @Test(arguments: ["ping", "add 1, 2", #""chat message" {"b":1,"a":"x"}"#, #""" 1"#]) func shownAsTyped(line: String) throws {
        #expect(try SocketIOLine(line).text == line)
    }

    @Test func bytesAreShown() {
        #expect(SocketIOLine(event: "b", arguments: [.binary(ByteBuffer(bytes: [0, 255]))]).text == #"b "<2 bytes: 00ff>""#)
    }

    @Test(arguments: [
        ["--namespace", "/a"], ["--auth", "{}"], ["--socketio", "--auth", "[]"], ["--socketio", "--auth", "{"], ["--socketio", "--binary"],
        ["--socketio", "--transport", "pigeon"], ["--ack-timeout", "1"], ["--socketio", "--ack-timeout", "-1"],
        ["--socketio", "--ack-timeout", "nan"], ["--socketio", "--client-key", "k.pem"], ["--client-certificate", "c.pem"],
    ]) func argumentsThatDoNotGoTogether(flags: [String]) {
        #expect(throws: (any Error).self) { try Connect.parse(flags + ["http://localhost"]) }
    }

    @Test func argumentsThatDo() throws {
        let connect = try Connect.parse([
            "--socketio", "--namespace", "/a", "--auth", #"{"a":1}"#, "--transport", "websocket", "http://localhost",
        ])
        #expect(connect.isSocketIO && connect.transports == [SocketIOTransportArgument(argument: "websocket")])
    }
}

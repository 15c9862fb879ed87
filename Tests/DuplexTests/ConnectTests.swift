import ArgumentParser
import HTTPTypes
import Logging
import Testing

@testable import duplex

struct ConnectTests {
    private func parse(_ arguments: String...) throws -> Connect {
        try #require(try Duplex.parseAsRoot(["connect"] + arguments) as? Connect)
    }

    @Test func takesEverything() throws {
        let connect = try parse(
            "wss://example.com/", "--header", "A: b", "-H", "C: d", "--subprotocol", "x", "--subprotocol", "y", "--ca-certificate",
            "ca.pem",
            "--binary", "--ping", "0.5", "--wait", "2", "--log-level", "DEBUG")
        #expect(connect.client.headers.map(\.field.value) == ["b", "d"])
        #expect(connect.client.subprotocols == ["x", "y"])
        #expect(connect.client.caCertificate == "ca.pem")
        #expect(connect.binary)
        #expect(connect.ping == 0.5)
        #expect(connect.wait == 2)
        #expect(connect.logging.logLevel.level == .debug)
    }

    @Test func defaults() throws {
        let connect = try parse("ws://localhost")
        #expect(!connect.client.insecure && !connect.binary)
        #expect(connect.ping == nil)
        #expect(connect.logging.logLevel.level == .warning)
    }

    @Test(arguments: [
        [], ["ws://a", "b"], ["ws://a", "--nonsense"], ["ws://a", "--header", "no colon"], ["ws://a", "--ping", "0"],
        ["ws://a", "--ping=-1"],
        ["ws://a", "--ping", "nan"], ["ws://a", "--ping", "inf"], ["ws://a", "--wait=-1"], ["ws://a", "--wait", "nan"],
        ["ws://a", "--log-level", "loud"], ["ws://a", "--insecure", "--ca-certificate", "ca.pem"],
    ])
    func refuses(_ arguments: [String]) throws {
        let error = #expect(throws: (any Error).self) { try Duplex.parseAsRoot(["connect"] + arguments) }
        #expect(try Duplex.exitCode(for: #require(error)) == ExitCode(64))
    }
}

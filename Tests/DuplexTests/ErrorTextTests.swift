// The errors of the libraries in the command's words: ErrorText.swift.

import ArgumentParser
import Foundation
import Testing

@testable import duplex

@Suite struct ErrorTextTests {
    /// What the sources of the clients name in their texts is a flag of the command, or has none and is left out.
    @Test func noErrorNamesASettingThatTheCommandHasNot() throws {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let setting = /tls\.(roots|identity|serverName|certificateVerification|minimumVersion)|\(timeout\)|\(maxRedirects\)/
        var found: Set<String> = []
        for file in ["ClientTLS", "TLSFailure", "ClientAttempt", "WebSocketClient", "Redirect", "ConnectError"] {
            let source = try String(contentsOf: root.appending(path: "Sources/WebSockets/\(file).swift"), encoding: .utf8)
            for line in source.split(separator: "\n") {
                for match in line.matches(of: setting) { found.insert(String(match.output.0)) }
            }
        }
        #expect(found.isSuperset(of: ["tls.serverName", "tls.roots", "tls.identity", "(timeout)", "(maxRedirects)"]), "\(found)")
        let help = Connect.helpMessage()
        for text in found {
            let told = ErrorText.withFlags("set \(text)")
            #expect(!told.contains(text), "\(text) is named as it is")
            for flag in told.matches(of: /--[a-z-]+/) { #expect(help.contains(flag.output), "\(flag.output) is no flag") }
        }
    }

    @Test func times() {
        #expect(ErrorText.seconds(.seconds(5)) == "5 s")
        #expect(ErrorText.seconds(.milliseconds(250)) == "0.25 s")
        #expect(ErrorText.seconds(.zero) == "0 s")
    }

    @Test func everyHelpNamesTheVersion() {
        #expect(Duplex.helpMessage().contains("--version"))
        for command in [Serve.self, Connect.self, Bench.self, Compare.self] as [any ParsableCommand.Type] {
            #expect(Duplex.helpMessage(for: command).contains("--version"))
        }
    }

    @Test(arguments: [[], ["serve"], ["connect"], ["bench"], ["bench", "echo"], ["compare"]]) func everyCommandTellsTheVersion(
        command: [String]
    ) throws {
        let error = #expect(throws: (any Error).self) { try Duplex.parseAsRoot(command + ["--version"]) }
        let asked = try #require(error)
        #expect(Duplex.exitCode(for: asked) == .success)
        #expect(Duplex.message(for: asked) == duplexVersion)
    }
}

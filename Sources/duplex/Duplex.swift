// The command `duplex`: its root, and what all its subcommands share.

import ArgumentParser

@main
struct Duplex: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "duplex",
        abstract: "WebSocket from the command line: serve it, or talk to a server.",
        subcommands: [Serve.self, Connect.self])
}

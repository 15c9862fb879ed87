// The command `duplex`: its root, and what all its subcommands share.

import ArgumentParser

@main
struct Duplex: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "duplex",
        abstract: "WebSocket from the command line: serve it, talk to a server, or measure one.",
        version: duplexVersion,
        subcommands: [Serve.self, Connect.self, Bench.self, Compare.self, Members.self])

    /// Runs the subcommand; what is wrong with the arguments is said in one line, as every other error is.
    ///
    /// The library's own `main` would print the whole usage after it, which buries the line.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand { try await command.run() } else { try command.run() }
        } catch {
            guard exitCode(for: error) == .validationFailure, !message(for: error).isEmpty else { exit(withError: error) }
            let line = "duplex: \(oneLine(message(for: error))) (see `duplex \(subcommand)--help`)\n"
            try? Descriptor.error.writeAll(Array(line.utf8))
            leave(ExitCode.validationFailure.rawValue)
        }
    }

    /// The library lists the values of an option one a line; and what was typed may hold anything.
    private static func oneLine(_ message: String) -> String {
        let lines = message.split(separator: "\n")
        let values = lines.dropFirst().map { $0.drop { " -".contains($0) } }.joined(separator: ", ")
        return Escaping.escape(String(lines.first ?? "") + (values.isEmpty ? "" : " " + values))
    }

    /// The subcommand that was asked for and the one within it, as far as they are some, and a space after each.
    private static var subcommand: String {
        var words = ""
        var commands = configuration.subcommands
        for argument in CommandLine.arguments.dropFirst() {
            guard let command = commands.first(where: { $0._commandName == argument }) else { continue }
            words += argument + " "
            commands = command.configuration.subcommands
        }
        return words
    }
}

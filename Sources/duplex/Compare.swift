// `duplex compare`: the same events by short polling, long polling, Server-Sent Events and WebSocket, one after another.

import ArgumentParser
import NIOCore

struct Compare: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure what WebSockets save: the same events by polling, Server-Sent Events and WebSocket.",
        discussion: """
            Starts `duplex serve` as another process, or takes one that runs. The four methods run one after another, so that the \
            server's CPU time is that of one of them; what it works when none runs is measured first, and taken off.

            Delay is from when the server makes an event until the client has it. Requests and bytes are counted by the server at its \
            sockets, headers and framing included, from each method's first connection to the end of its last. Requests have the header \
            fields that a browser's have, as it is for browsers that one chooses between these methods.

            The exit status is 0; 1 if the server could not be started or reached; 64 for wrong arguments.
            """)

    @Argument(help: "A `duplex serve` that runs: http://host:port. Without it, one is started.") var url: String?
    @Option(help: ArgumentHelp("Events a second, at random moments.", valueName: "n")) var rate = 10.0
    @Option(help: ArgumentHelp("How often a client that polls asks.", valueName: "milliseconds")) var interval = 1000.0
    @Option(help: ArgumentHelp("How many clients get the events at the same time.", valueName: "n")) var clients = 1
    @Option(help: ArgumentHelp("How long each method runs.", valueName: "seconds")) var seconds = 5.0
    @Flag(help: "Print one JSON object instead of a table.") var json = false
    @OptionGroup var logging: LogOptions

    func validate() throws {
        guard rate >= 0.1, rate <= 1000 else { throw ValidationError("--rate must be 0.1 to 1000") }
        guard interval >= 1, interval <= 60_000 else { throw ValidationError("--interval must be 1 to 60000") }
        guard (1...1000).contains(clients) else { throw ValidationError("--clients must be 1 to 1000") }
        guard seconds >= 1, seconds <= 3600 else { throw ValidationError("--seconds must be 1 to 3600") }
        if let url { _ = try CompareServer(url) }
    }

    func run() async throws {
        logging.bootstrap()
        let console = Console()
        do {
            let child = url == nil ? try await CompareChild() : nil
            defer { child?.end() }
            let server = try CompareServer(url ?? child?.url ?? "")
            let plan = ComparePlan(server: server, rate: rate, interval: interval, clients: clients, seconds: seconds)
            let result = try await Interrupts.cancelling { try await plan.carryOut { await console.note($0) } }
            try Descriptor.output.writeAll(Array((json ? try result.json() : result.table(Style.of(.output))).utf8))
        } catch is CancellationError {
            await console.fail("interrupted before there was anything to tell")
            throw ExitCode(130)
        } catch {
            await console.fail("\(error)")
            throw ExitCode(1)
        }
    }
}

/// Where the server is.
struct CompareServer: Sendable, Equatable {
    let host: String
    let port: Int

    /// - Throws: `ValidationError` for anything but `http://host:port`.
    init(_ url: String) throws {
        var rest = url[...]
        guard rest.hasPrefix("http://") else { throw ValidationError("the address must be http://host:port") }
        rest.removeFirst("http://".count)
        if rest.hasSuffix("/") { rest.removeLast() }
        guard let colon = rest.lastIndex(of: ":"), let port = Int(rest[rest.index(after: colon)...]), (1...65535).contains(port),
            !rest.contains("/"), colon > rest.startIndex
        else { throw ValidationError("the address must be http://host:port") }
        host = rest[..<colon].trimming(["[", "]"])
        self.port = port
    }

    /// As it stands in a URL.
    var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension Substring {
    fileprivate func trimming(_ characters: Set<Character>) -> String { String(filter { !characters.contains($0) }) }
}

/// A server that is there for one comparison: `duplex serve` in a process of its own.
private final class CompareChild {
    let url: String
    private let process: ChildProcess

    init() async throws {
        let (process, line) = try await Task.detached { try ChildProcess.announced(["serve", "--port", "0", "--until-input-ends"]) }.value
        guard let start = line.firstRange(of: "http://")?.lowerBound else {
            process.close()
            throw BenchError("the server could not be started")
        }
        self.process = process
        url = String(line[start...])
    }

    func end() { process.close() }
}

// `duplex bench`: measures a WebSocket server, anybody's. The subcommands and what they have in common; `BenchKinds.swift` has each.

import ArgumentParser
import WebSocketCore
import WebSockets

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure a WebSocket server: throughput, delays, handshakes, memory.",
        discussion: """
            Prints a table to stdout, or with --json one JSON object. On a terminal, a bar on stderr shows how far it is. Ctrl-C ends \
            early and prints what there is; pressed again, it quits.

            Delays are percentiles of all messages that were begun after the warm-up (HdrHistogram, three digits). At a fixed rate \
            a message's delay counts from when it should have been sent, not from when it was: a server that stalls is charged \
            for those that had to wait meanwhile. What is printed says when the client itself was the bottleneck.

            Measure only servers that are yours, or whose owner agrees.

            The exit status is 0; 1 if a connection could not be opened, was lost, messages were missing, or nothing could be measured; 64 for wrong arguments.
            """,
        subcommands: [Echo.self, Broadcast.self, Idle.self, Handshake.self, Latency.self])
}

/// The options of all kinds of load.
struct BenchOptions: ParsableArguments {
    @Argument(help: "What to measure: ws://… or wss://…") var url: String
    @Option(help: ArgumentHelp("How long to measure.", valueName: "seconds")) var seconds = 10.0
    @Option(help: "How many threads of this end make the load.") var threads = BenchPlan.defaultThreads
    @Option(help: ArgumentHelp("How many handshakes are under way at once while connections are opened.", valueName: "n"))
    var parallel = 100
    @Option(
        help: ArgumentHelp(
            "The server's process, to tell its CPU time and memory; where the server is on this machine, it is found by itself if it may be.",
            valueName: "process"))
    var pid: Int32?
    @Flag(help: "Print one JSON object instead of a table.") var json = false
    @Option(help: ArgumentHelp(CompressionArgument.help, valueName: "how")) var compression = CompressionArgument.off
    @OptionGroup var client: ClientOptions
    @OptionGroup var logging: LogOptions

    func validate() throws {
        guard seconds > 0, seconds <= 86_400 else { throw ValidationError("--seconds must be above 0 and at most 86400") }
        guard (1...256).contains(threads) else { throw ValidationError("--threads must be 1 to 256") }
        guard (1...10_000).contains(parallel) else { throw ValidationError("--parallel must be 1 to 10000") }
        guard pid ?? 1 > 0 else { throw ValidationError("--pid must be above 0") }
    }

    /// A plan with these options and the defaults of the rest.
    func plan(_ kind: BenchPlan.Kind, connections: Int) -> BenchPlan {
        var plan = BenchPlan(kind: kind, url: url, connections: connections)
        plan.seconds = seconds
        plan.threads = min(threads, connections)
        plan.parallel = parallel
        plan.pid = pid
        plan.configuration = client.configuration
        plan.configuration.connection.compression = compression.compression
        return plan
    }

    /// Carries the plan out and prints what came of it.
    func run(_ plan: BenchPlan) async throws {
        logging.bootstrap()
        let console = Console()
        if client.insecure { await console.note("the server's certificate is not checked (--insecure)") }
        let run = BenchRun(plan)
        let bar = ProgressDisplay(run.progress)
        do {
            let result = try await Interrupts.cancelling { try await run.carryOut() }
            await bar.end()
            try Descriptor.output.writeAll(Array((json ? try result.json() : result.table(Style.of(.output))).utf8))
            for problem in result.problems { await console.fail(problem) }
            if !result.problems.isEmpty { throw ExitCode(1) }
        } catch let status as ExitCode {
            throw status
        } catch is CancellationError {
            await bar.end()
            await console.fail("interrupted before there was anything to tell")
            throw ExitCode(130)
        } catch {
            await bar.end()
            await console.fail(ErrorText.of(error))
            throw ExitCode(Report.status(of: error))
        }
    }
}

/// The options of a load that is warmed up first.
struct WarmUpOptions: ParsableArguments {
    @Option(help: ArgumentHelp("How long the load runs before it is measured.", valueName: "seconds")) var warmUp = 1.0

    func validate() throws {
        guard warmUp >= 0, warmUp <= 3_600 else { throw ValidationError("--warm-up must be 0 to 3600") }
    }
}

/// Tells of a number that is not possible.
func checkRange(_ range: ClosedRange<Int>, _ name: String, _ value: Int) throws {
    guard range.contains(value) else {
        throw ValidationError("--\(name) must be \(range.lowerBound) to \(range.upperBound)")
    }
}

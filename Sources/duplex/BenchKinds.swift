// The kinds of load of `duplex bench`: what each does, and what it can be told.

import ArgumentParser

extension Bench {
    struct Echo: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Messages to and fro, as many as go.",
            discussion: """
                Every connection keeps DEPTH binary messages under way; the server has to send back what it gets. With --rate, \
                messages are sent at that rate instead, whether answers come or not. MB/s are payloads, each way.
                """)

        @OptionGroup var options: BenchOptions
        @OptionGroup var warmUp: WarmUpOptions
        @OptionGroup var payload: PayloadOptions
        @Option(help: "How many connections.") var connections = 100
        @Option(help: ArgumentHelp("How many messages of a connection are under way at once. (default: 1)", valueName: "n"))
        var depth: Int?
        @Option(help: ArgumentHelp("How many messages a second are sent, all connections together.", valueName: "n")) var rate: Double?

        func validate() throws { _ = try plan() }

        func plan() throws -> BenchPlan {
            try checkRange(1...1_000_000, "connections", connections)
            var plan = options.plan(.echo, connections: connections)
            plan.warmUp = warmUp.warmUp
            plan.size = payload.size
            try plan.pace(depth: depth, rate: rate)
            return plan
        }

        func run() async throws { try await options.run(try plan()) }
    }

    struct Broadcast: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "One says it to many: deliveries a second, and how long they take.",
            discussion: """
                The server has to send what anyone says to everyone connected to the URL, whoever said it included. The publishers \
                keep DEPTH binary messages under way each, and send the next when their own comes back; with --rate, messages are \
                sent at that rate instead. Every message must reach every connection.
                """)

        @OptionGroup var options: BenchOptions
        @OptionGroup var warmUp: WarmUpOptions
        @OptionGroup var payload: PayloadOptions
        @Option(help: "How many connections, all of which listen.") var connections = 100
        @Option(help: "How many of them speak.") var publishers = 1
        @Option(help: ArgumentHelp("How many messages of a publisher are under way at once. (default: 1)", valueName: "n"))
        var depth: Int?
        @Option(help: ArgumentHelp("How many messages a second are published, all publishers together.", valueName: "n"))
        var rate: Double?

        func validate() throws { _ = try plan() }

        func plan() throws -> BenchPlan {
            try checkRange(1...1_000_000, "connections", connections)
            try checkRange(1...connections, "publishers", publishers)
            guard payload.size >= Broadcasts.minSize else {
                throw ValidationError("--size must be at least \(Broadcasts.minSize) here: a message says when it was sent")
            }
            var plan = options.plan(.broadcast, connections: connections)
            plan.warmUp = warmUp.warmUp
            plan.size = payload.size
            plan.publishers = publishers
            try plan.pace(depth: depth, rate: rate)
            return plan
        }

        func run() async throws { try await options.run(try plan()) }
    }

    struct Latency: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "How long an echo takes at a fixed rate.",
            discussion: """
                The server has to send back what it gets. Messages are sent at the rate, whether answers come or not; two rows are \
                printed, counted from when a message should have been sent, and from when it was.
                """)

        @OptionGroup var options: BenchOptions
        @OptionGroup var warmUp: WarmUpOptions
        @OptionGroup var payload: PayloadOptions
        @Option(help: "How many connections.") var connections = 10
        @Option(help: ArgumentHelp("How many messages a second are sent, all connections together.", valueName: "n")) var rate = 1000.0

        func validate() throws { _ = try plan() }

        func plan() throws -> BenchPlan {
            try checkRange(1...1_000_000, "connections", connections)
            var plan = options.plan(.latency, connections: connections)
            plan.warmUp = warmUp.warmUp
            plan.size = payload.size
            try plan.pace(depth: nil, rate: rate)
            return plan
        }

        func run() async throws { try await options.run(try plan()) }
    }

    struct Handshake: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Opens and closes connections as fast as it can.",
            discussion: "A handshake's time is from the beginning of TCP (and the resolver) to the server's 101, TLS included.")

        @OptionGroup var options: BenchOptions
        @OptionGroup var warmUp: WarmUpOptions
        @Option(help: "How many connections are being opened or closed at any time.") var connections = 50

        func validate() throws { _ = try plan() }

        func plan() throws -> BenchPlan {
            try checkRange(1...10_000, "connections", connections)
            var plan = options.plan(.handshake, connections: connections)
            plan.warmUp = warmUp.warmUp
            return plan
        }

        func run() async throws { try await options.run(try plan()) }
    }

    struct Idle: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Opens connections and holds them: handshakes a second, the lost ones, memory.",
            discussion: """
                One address of this machine has about 28,000 ports to connect to one address and port from, and one process may open \
                a limited number of files (ulimit -n): whoever needs more starts more of these, on more machines.
                """)

        @OptionGroup var options: BenchOptions
        @Option(help: "How many connections.") var connections = 1000

        func validate() throws { _ = try plan() }

        func plan() throws -> BenchPlan {
            try checkRange(1...1_000_000, "connections", connections)
            return options.plan(.idle, connections: connections)
        }

        func run() async throws { try await options.run(try plan()) }
    }
}

/// What is sent.
struct PayloadOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The size of a message.", valueName: "bytes")) var size = 20

    func validate() throws { try checkRange(0...1 << 28, "size", size) }
}

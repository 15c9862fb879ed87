// What is logged: to stderr, so that stdout holds nothing but what was asked for.

import ArgumentParser
import Logging

struct LogOptions: ParsableArguments {
    @Option(help: ArgumentHelp("How much to log to stderr.", valueName: "level"))
    var logLevel = LogLevel(level: .warning)

    /// Sends what every logger says to stderr; called once, before the first logger is made.
    func bootstrap() {
        let level = logLevel.level
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
    }
}

/// A log level as an argument; a type of our own, as neither swift-log's nor the argument parser's is ours to extend.
struct LogLevel: ExpressibleByArgument {
    let level: Logger.Level

    init(level: Logger.Level) { self.level = level }

    init?(argument: String) {
        guard let level = Logger.Level(rawValue: argument.lowercased()) else { return nil }
        self.level = level
    }

    var defaultValueDescription: String { level.rawValue }
    static var allValueStrings: [String] { Logger.Level.allCases.map(\.rawValue) }
}

// What a server logs, kept.

import Foundation
import Logging
import NIOConcurrencyHelpers
import WebSockets

/// Keeps what is logged.
final class LogRecorder: Sendable {
    struct Line: Sendable {
        let level: Logger.Level
        let text: String
        /// As text.
        let metadata: [String: String]
    }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var logLevel = Logger.Level.debug
        var metadata: Logger.Metadata = [:]

        init(_ recorder: LogRecorder) { self.recorder = recorder }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let line = Line(level: event.level, text: event.message.description, metadata: (event.metadata ?? [:]).mapValues { "\($0)" })
            recorder.kept.withLockedValue { $0.append(line) }
        }
    }

    private let kept = NIOLockedValueBox<[Line]>([])

    var logger: Logger { Logger(label: "test", factory: { _ in Handler(self) }) }

    /// What an operator sees at the usual level.
    var shown: [Line] { kept.withLockedValue { $0.filter { $0.level >= .info } } }
}

extension WebSocketServer.Transport {
    /// What `DUPLEX_TEST_TRANSPORT` says, so that the same tests run over each: `automatic`, which is the default, or `nio`.
    static let underTest = ProcessInfo.processInfo.environment["DUPLEX_TEST_TRANSPORT"].flatMap(Self.init) ?? .automatic
}

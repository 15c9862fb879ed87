// Questions to the other nodes whose answers are awaited: each ends when all have answered, or at its timeout, whatever becomes of the nodes.

import NIOConcurrencyHelpers
public import RedisPubSub
public import SocketIO

/// Other nodes did not answer in time.
public struct SocketIOClusterTimeout: Error, Sendable, CustomStringConvertible {
    /// How many nodes were asked.
    public let expected: Int
    /// How many of them answered.
    public let answered: Int
    /// Of `serverSideEmitWithAck`, what those answered who did, in the order in which it came.
    public let responses: [[SocketIOValue]]
    /// Of `fetchSockets`, this node's sockets and those of the nodes that answered.
    public let sockets: [SocketIORemoteSocket]

    /// What happened.
    public var description: String { "only \(answered) of \(expected) other nodes answered in time (limit requestTimeout)" }
}

/// Other nodes could not be asked, as Redis can not be reached.
public struct SocketIOClusterUnreachable: Error, Sendable, CustomStringConvertible {
    /// Why not.
    public let reason: RedisError
    /// Of `fetchSockets`, this node's sockets.
    public let sockets: [SocketIORemoteSocket]

    init(_ reason: RedisError, sockets: [SocketIORemoteSocket] = []) {
        self.reason = reason
        self.sockets = sockets
    }

    /// What happened.
    public var description: String { "the other nodes can not be asked: \(reason)" }
}

/// The questions of one adapter, and what answers them.
final class ClusterRequests<Response: Sendable>: Sendable {
    /// What came of a question.
    struct Outcome: Sendable {
        var responses: [Response]
        /// How many nodes were asked.
        let expected: Int

        /// - Throws: `SocketIOClusterTimeout` with what came, if a node has not answered.
        func check(
            responses values: [[SocketIOValue]] = [], sockets: [SocketIORemoteSocket] = []
        ) throws(SocketIOClusterTimeout) {
            guard responses.count < expected else { return }
            throw SocketIOClusterTimeout(expected: expected, answered: responses.count, responses: values, sockets: sockets)
        }
    }

    private struct Question: Sendable {
        let expected: Int
        var responses: [Response] = []
        let continuation: CheckedContinuation<Outcome, any Error>
        var timer: (any RedisTimer)?
    }

    private let questions = NIOLockedValueBox<[String: Question]>([:])
    private let redis: any RedisLink

    init(_ redis: any RedisLink) { self.redis = redis }

    /// Asks, and waits for the answers.
    ///
    /// - Throws: `CancellationError`.
    func ask(_ nodes: Int, timeout: Duration, _ publish: @Sendable (_ requestID: String) -> Void) async throws -> Outcome {
        let id = ClusterID.make()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard !Task.isCancelled else { return continuation.resume(throwing: CancellationError()) }
                questions.withLockedValue { $0[id] = Question(expected: nodes, continuation: continuation) }
                let timer = redis.call(after: timeout) { [weak self] in self?.timedOut(id) }
                let isWaiting = questions.withLockedValue { questions in
                    questions[id]?.timer = timer
                    return questions[id] != nil
                }
                // Cancelled between the lines.
                guard isWaiting else { return timer.cancel() }
                publish(id)
            }
        } onCancel: {
            take(id)?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Takes an answer; false if nobody waits for it.
    func answered(_ id: String, _ response: Response) -> Bool {
        let (isKnown, complete) = questions.withLockedValue { questions -> (Bool, Question?) in
            guard var question = questions[id] else { return (false, nil) }
            question.responses.append(response)
            let isComplete = question.responses.count >= question.expected
            questions[id] = isComplete ? nil : question
            return (true, isComplete ? question : nil)
        }
        complete?.timer?.cancel()
        if let complete { complete.continuation.resume(returning: Outcome(responses: complete.responses, expected: complete.expected)) }
        return isKnown
    }

    private func take(_ id: String) -> Question? {
        let question = questions.withLockedValue { $0.removeValue(forKey: id) }
        question?.timer?.cancel()
        return question
    }

    private func timedOut(_ id: String) {
        guard let question = take(id) else { return }
        question.continuation.resume(returning: Outcome(responses: question.responses, expected: question.expected))
    }

    /// Ends all questions: the adapter is closed.
    func close() {
        let all = questions.withLockedValue { questions in
            defer { questions = [:] }
            return Array(questions.values)
        }
        for question in all {
            question.timer?.cancel()
            question.continuation.resume(throwing: CancellationError())
        }
    }
}

/// Names of nodes and of requests.
enum ClusterID {
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")

    /// A random name of 12 letters and digits. Node's have six; with twelve, no two of a cluster are ever the same.
    static func make() -> String { String((0..<12).map { _ in letters[Int.random(in: 0..<letters.count)] }) }
}

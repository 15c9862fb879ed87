// Whether to try again after a failure, and with which credentials.

public import HTTPTypes
import WebSocketCore

/// How `WebSocketClient.sessions` connects again.
public struct Reconnect: Sendable {
    /// How often and how soon.
    public var backoff: Backoff
    /// Whether a failure is worth another try; `Reconnect.isTransient` unless set.
    public var retries: @Sendable (any Error) -> Bool
    /// Header fields for the next try, asked for before each one: for credentials that expire. They replace those of the same name in
    /// the configuration. An error that it throws counts as a failure of the try.
    public var headers: (@Sendable () async throws -> HTTPFields)?

    /// Makes a policy.
    public init(
        backoff: Backoff = Backoff(), retries: @escaping @Sendable (any Error) -> Bool = Reconnect.isTransient,
        headers: (@Sendable () async throws -> HTTPFields)? = nil
    ) {
        self.backoff = backoff
        self.retries = retries
        self.headers = headers
    }

    /// Whether a failure may be gone by the next try: the network's are, the server's 408, 425, 429 and 5xx without 501 and 505 are; other
    /// statuses, a wrong handshake, a certificate that is not trusted and mistakes of this program are not.
    public static func isTransient(_ error: any Error) -> Bool {
        switch error {
        case let error as HandshakeRefused: isTransient(error.response.status.code)
        case let error as ConnectError: ![.tls, .tlsConfiguration, .invalidResponse, .redirect].contains(error.kind)
        case is InvalidURL, is HandshakeUsageError, is HandshakeFailure, is UsageError, is CancellationError: false
        default: true
        }
    }

    private static func isTransient(_ status: Int) -> Bool {
        [408, 425, 429].contains(status) || status >= 500 && ![501, 505].contains(status)
    }

    /// How long the server asks to be left alone (RFC 9110 §10.2.3); zero if it says nothing, or names a date.
    static func pause(asked error: any Error) -> Duration {
        guard let refusal = error as? HandshakeRefused, let value = refusal.response.headerFields[.retryAfter],
            value.utf8.count <= 9, let seconds = UInt32(value)
        else { return .zero }
        return .seconds(seconds)
    }
}

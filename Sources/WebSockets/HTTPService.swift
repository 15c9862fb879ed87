// Who answers all that comes to one path, plain requests and WebSocket handshakes, without a task or a thread for a request that waits.

import HTTPTypes
package import NIOCore
import WebSocketCore

/// Answers all that comes to one path of a server; called on the connections' threads.
package protocol HTTPService: AnyObject, Sendable {
    /// Where: segments, of which the last may be followed by a slash.
    var path: String { get }
    /// What each WebSocket of it may take.
    var connection: ConnectionConfiguration { get }
    /// Decides about WebSocket handshakes.
    var decider: Route.Decider { get }
    /// Whether pages of this origin may open WebSockets, beside those that the server allows.
    func allows(origin: String) -> Bool
    /// Begins a plain request, whose body is yet to come.
    ///
    /// - Parameter respond: takes the answer, once, on any thread.
    func begin(_ request: ServerRequest, respond: @escaping @Sendable (ServerResponse) -> Void) -> any HTTPServiceRequest
    /// The server shuts down: requests that wait should be answered.
    func drain()
}

/// A request that a service answers; called on the connection's thread.
package protocol HTTPServiceRequest: AnyObject {
    /// The most bytes that its body may have.
    var maxBodyBytes: Int { get }
    /// All of the request has come.
    func received(_ body: ByteBuffer)
    /// The body is too large: to be answered at once.
    func bodyOverLimit()
    /// The connection has ended before the answer.
    func cancel()
}

/// A service, and the way to its WebSockets.
struct MountedService: Sendable {
    let service: any HTTPService
    let route: Route

    init(_ service: any HTTPService, _ configuration: WebSocketServer.Configuration) {
        self.service = service
        var route = Route(service.path, service.decider)
        route.settings = SharedSettings(service.connection, logger: configuration.logger)
        route.allowsOrigin = { service.allows(origin: $0) }
        self.route = route
    }
}

extension WebSocketServer {
    /// Has a service answer all that comes to its path; called before `run`.
    package func mount(_ service: any HTTPService) { core.mount(MountedService(service, core.configuration)) }
}

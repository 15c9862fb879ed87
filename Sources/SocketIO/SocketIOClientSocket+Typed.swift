// The handlers of a client's socket, with typed parameters: parameter for parameter as on a server's (EventHandlers+Typed.swift).

extension SocketIOClientSocket {
    /// Handles an event.
    ///
    /// The arguments are decoded as the closure's parameters; those that it does not take are ignored, and those that are missing at the
    /// end are nil where the parameter is optional. If they do not fit, the closure is not called, and `onError` is. If the server asked
    /// for an acknowledgement, it gets one without arguments when the closure has returned, or, if it throws, an object with an `error`
    /// (see `SocketIOError`).
    ///
    /// Events of one socket are handled one after the other, in their order.
    @discardableResult
    public func on<each Argument: Decodable & SendableMetatype>(
        _ event: String, _ body: @escaping @Sendable (repeat each Argument) throws -> Void
    ) -> SocketIOHandlerID {
        add(event, .typed { (_: SocketIOClientSocket, arguments: repeat each Argument) in try body(repeat each arguments) })
    }

    /// Handles an event; what the closure returns is the acknowledgement.
    @discardableResult
    public func on<each Argument: Decodable & SendableMetatype, Result: Encodable & SendableMetatype>(
        _ event: String, _ body: @escaping @Sendable (repeat each Argument) throws -> Result
    ) -> SocketIOHandlerID {
        add(event, .typed { (_: SocketIOClientSocket, arguments: repeat each Argument) in try body(repeat each arguments) })
    }

    /// Handles an event with a closure that awaits; the socket's next event waits for its end, acknowledgements do not.
    @discardableResult
    public func on<each Argument: Decodable & Sendable>(
        _ event: String, _ body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Void
    ) -> SocketIOHandlerID {
        add(event, .typedAsync { (_: SocketIOClientSocket, arguments: repeat each Argument) in try await body(repeat each arguments) })
    }

    /// Handles an event with a closure that awaits; what it returns is the acknowledgement.
    @discardableResult
    public func on<each Argument: Decodable & Sendable, Result: Encodable & Sendable>(
        _ event: String, _ body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Result
    ) -> SocketIOHandlerID {
        add(event, .typedAsync { (_: SocketIOClientSocket, arguments: repeat each Argument) in try await body(repeat each arguments) })
    }

    /// Handles an event as it came, and acknowledges it, or not, by itself.
    @discardableResult
    public func on(_ event: String, _ body: @escaping @Sendable (SocketIOEvent) throws -> Void) -> SocketIOHandlerID {
        add(event, .sync { try body($1) })
    }

    /// Handles an event as it came, and acknowledges it, or not, by itself.
    @discardableResult
    public func on(_ event: String, _ body: @escaping @Sendable (SocketIOEvent) async throws -> Void) -> SocketIOHandlerID {
        add(event, .async { try await body($1) })
    }

    /// Handles the next event of a name as it came.
    @discardableResult
    public func once(_ event: String, _ body: @escaping @Sendable (SocketIOEvent) throws -> Void) -> SocketIOHandlerID {
        add(event, .sync { try body($1) }, once: true)
    }

    /// Sees every event, before its own handlers do.
    @discardableResult
    public func onAny(_ body: @escaping @Sendable (SocketIOEvent) throws -> Void) -> SocketIOHandlerID { add(nil, .sync { try body($1) }) }
}

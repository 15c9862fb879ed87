// From a closure with typed parameters to a handler: the arguments are decoded, and what it returns is the acknowledgement.
//
// Closures that await are `@concurrent`: Swift 6.3 crashes on `nonisolated(nonsending)` ones with a pack of parameters. They run on the
// connection's thread all the same, as that is what the socket's task prefers.

extension EventHandler {
    static func typed<each Argument: Decodable & SendableMetatype>(
        _ body: @escaping @Sendable (Socket, repeat each Argument) throws -> Void
    ) -> Self {
        .sync { socket, event in
            let arguments = try event.decode(as: repeat (each Argument).self)
            try body(socket, repeat each arguments)
            event.acknowledge(with: [])
        }
    }

    static func typed<each Argument: Decodable & SendableMetatype, Result: Encodable & SendableMetatype>(
        _ body: @escaping @Sendable (Socket, repeat each Argument) throws -> Result
    ) -> Self {
        .sync { socket, event in
            let arguments = try event.decode(as: repeat (each Argument).self)
            let result = try body(socket, repeat each arguments)
            try event.acknowledge(result)
        }
    }

    static func typedAsync<each Argument: Decodable & Sendable>(
        _ body: @escaping @Sendable @concurrent (Socket, repeat each Argument) async throws -> Void
    ) -> Self {
        .async { socket, event in
            let arguments = try event.decode(as: repeat (each Argument).self)
            try await body(socket, repeat each arguments)
            event.acknowledge(with: [])
        }
    }

    static func typedAsync<each Argument: Decodable & Sendable, Result: Encodable & Sendable>(
        _ body: @escaping @Sendable @concurrent (Socket, repeat each Argument) async throws -> Result
    ) -> Self {
        .async { socket, event in
            let arguments = try event.decode(as: repeat (each Argument).self)
            let result = try await body(socket, repeat each arguments)
            try event.acknowledge(result)
        }
    }
}

// MARK: On a socket

extension SocketIOSocket {
    /// Handles an event of this socket.
    ///
    /// The arguments are decoded as the closure's parameters; those that it does not take are ignored, and those that are missing at the
    /// end are nil where the parameter is optional. If they do not fit, the closure is not called, and `onError` is. If the client asked
    /// for an acknowledgement, it gets one without arguments when the closure has returned, or, if it throws, an object with an `error`
    /// (see `SocketIOError`).
    ///
    /// The closure runs on the thread that received the event, and must not block. Events of one socket are handled one after
    /// the other, in their order.
    @discardableResult
    public func on<each Argument: Decodable & SendableMetatype>(
        _ event: String, _ body: @escaping @Sendable (repeat each Argument) throws -> Void
    ) -> SocketIOHandlerID {
        add(event, .typed { (_: SocketIOSocket, arguments: repeat each Argument) in try body(repeat each arguments) })
    }

    /// Handles an event of this socket; what the closure returns is the acknowledgement.
    @discardableResult
    public func on<each Argument: Decodable & SendableMetatype, Result: Encodable & SendableMetatype>(
        _ event: String, _ body: @escaping @Sendable (repeat each Argument) throws -> Result
    ) -> SocketIOHandlerID {
        add(event, .typed { (_: SocketIOSocket, arguments: repeat each Argument) in try body(repeat each arguments) })
    }

    /// Handles an event of this socket with a closure that awaits; the socket's next event waits for its end, acknowledgements do not.
    @discardableResult
    public func on<each Argument: Decodable & Sendable>(
        _ event: String, _ body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Void
    ) -> SocketIOHandlerID {
        add(event, .typedAsync { (_: SocketIOSocket, arguments: repeat each Argument) in try await body(repeat each arguments) })
    }

    /// Handles an event of this socket with a closure that awaits; what it returns is the acknowledgement.
    @discardableResult
    public func on<each Argument: Decodable & Sendable, Result: Encodable & Sendable>(
        _ event: String, _ body: @escaping @Sendable @concurrent (repeat each Argument) async throws -> Result
    ) -> SocketIOHandlerID {
        add(event, .typedAsync { (_: SocketIOSocket, arguments: repeat each Argument) in try await body(repeat each arguments) })
    }

    /// Handles an event of this socket as it came, and acknowledges it, or not, by itself.
    @discardableResult
    public func on(_ event: String, _ body: @escaping @Sendable (SocketIOEvent) throws -> Void) -> SocketIOHandlerID {
        add(event, .sync { try body($1) })
    }

    /// Handles an event of this socket as it came, and acknowledges it, or not, by itself.
    @discardableResult
    public func on(_ event: String, _ body: @escaping @Sendable (SocketIOEvent) async throws -> Void) -> SocketIOHandlerID {
        add(event, .async { try await body($1) })
    }

    /// Handles the next of an event of this socket as it came.
    @discardableResult
    public func once(_ event: String, _ body: @escaping @Sendable (SocketIOEvent) throws -> Void) -> SocketIOHandlerID {
        add(event, .sync { try body($1) }, once: true)
    }

    /// Sees every event of this socket, before its own handlers do.
    @discardableResult
    public func onAny(_ body: @escaping @Sendable (SocketIOEvent) throws -> Void) -> SocketIOHandlerID { add(nil, .sync { try body($1) }) }
}

// MARK: On a namespace

extension SocketIONamespace {
    /// Handles an event of every socket of the namespace; see `SocketIOSocket.on`. It costs a socket nothing.
    public func on<each Argument: Decodable & SendableMetatype>(
        _ event: String, _ body: @escaping @Sendable (SocketIOSocket, repeat each Argument) throws -> Void
    ) { add(event, .typed(body)) }

    /// Handles an event of every socket of the namespace; what the closure returns is the acknowledgement.
    public func on<each Argument: Decodable & SendableMetatype, Result: Encodable & SendableMetatype>(
        _ event: String, _ body: @escaping @Sendable (SocketIOSocket, repeat each Argument) throws -> Result
    ) { add(event, .typed(body)) }

    /// Handles an event of every socket of the namespace with a closure that awaits.
    public func on<each Argument: Decodable & Sendable>(
        _ event: String, _ body: @escaping @Sendable @concurrent (SocketIOSocket, repeat each Argument) async throws -> Void
    ) { add(event, .typedAsync(body)) }

    /// Handles an event of every socket of the namespace with a closure that awaits; what it returns is the acknowledgement.
    public func on<each Argument: Decodable & Sendable, Result: Encodable & Sendable>(
        _ event: String, _ body: @escaping @Sendable @concurrent (SocketIOSocket, repeat each Argument) async throws -> Result
    ) { add(event, .typedAsync(body)) }

    /// Handles an event of every socket of the namespace as it came.
    public func on(_ event: String, _ body: @escaping @Sendable (SocketIOSocket, SocketIOEvent) throws -> Void) { add(event, .sync(body)) }

    /// Handles an event of every socket of the namespace as it came.
    public func on(_ event: String, _ body: @escaping @Sendable (SocketIOSocket, SocketIOEvent) async throws -> Void) {
        add(event, .async(body))
    }
}

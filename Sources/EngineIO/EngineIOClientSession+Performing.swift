// From an event to what it causes, on a client: the machine is asked under the lock, and what it wants is done outside of it, in order.

import HTTPTypes
import Logging
import NIOConcurrencyHelpers
import NIOCore
import WebSocketCore
import WebSockets

extension EngineIOClientSession {
    /// Tells the machine of an event, and does what it asks for, unless another thread is at that.
    func run(_ event: (inout EngineIOClientMachine, Timestamp) -> Void) {
        let now = configuration.now()
        let performs = lock.withLock {
            event(&machine, now)
            arm(now)
            guard machine.hasActions, !isPerforming else { return false }
            isPerforming = true
            return true
        }
        if performs { perform() }
    }

    private func perform() {
        while true {
            let actions = lock.withLock {
                let actions = machine.takeActions()
                if actions.isEmpty { isPerforming = false }
                return actions
            }
            if actions.isEmpty { return }
            for action in actions { perform(action) }
        }
    }

    private func perform(_ action: EngineIOClientMachine.Action) {
        switch action {
        case .poll(let link): poll(link)
        case .post(let link, let packets): post(link, packets)
        case .openSocket(let link): openSocket(link)
        case .send(let link, let packets): send(link, packets)
        case .drop(let link, let gracefully): drop(link, gracefully)
        case .opened: handler?.opened(self)
        case .received(let message): handler?.received(message, from: self)
        case .upgraded: handler?.upgraded(self)
        case .upgradeFailed(let error):
            configuration.logger.debug("the change to WebSocket failed, long-polling goes on", metadata: ["error": "\(error)"])
        case .remember(let hasWorked): UpgradeMemory.note(key, hasWorked)
        case .closed(let closure, let error): ended(closure, error)
        }
    }

    // MARK: The timer

    /// How late a device that has slept may be noticed: the wheel's clock stands still meanwhile.
    private static let longestNap = Duration.seconds(10)

    /// Sees to it that the timer fires in time; one that fires early asks again.
    private func arm(_ now: Timestamp) {
        guard let next = machine.nextDeadline else {
            guard armed != nil else { return }
            armed = nil
            return Self.timers.disarm(self)
        }
        if let armed, armed <= next { return }
        let nap = min(next.since(now), Self.longestNap)
        armed = now.advanced(by: nap)
        Self.timers.arm(self, after: nap)
    }

    /// The wheel's thread: it may be time.
    package func timerFired() {
        lock.withLock { armed = nil }
        run { $0.timerFired(at: $1) }
    }

    // MARK: Long-polling

    private func poll(_ link: Link) {
        spawn(link) {
            do throws(EngineIOClientError) {
                let packets = try await self.followingRedirects { () async throws(EngineIOClientError) in
                    try await self.preparedPoller().poll(sid: self.id)
                }
                self.run { $0.polled(link, packets, at: $1) }
            } catch {
                self.run { machine, _ in machine.failed(link, error) }
            }
        }
    }

    private func post(_ link: Link, _ packets: [Outgoing]) {
        spawn(link, isPost: true) {
            do throws(EngineIOClientError) {
                try await self.preparedPoller().post(packets, sid: self.id)
                self.run { $0.posted(link, at: $1) }
            } catch {
                self.run { machine, _ in machine.failed(link, error) }
            }
        }
    }

    /// What makes the requests; the first poll makes it, and nothing else is asked for meanwhile.
    private func preparedPoller() async throws(EngineIOClientError) -> LongPoller {
        let (known, address) = lock.withLock { (poller, currentAddress) }
        if let known { return known }
        do {
            let poller = try LongPoller(address, configuration)
            lock.withLock { self.poller = poller }
            return poller
        } catch {
            throw EngineIOClientError(.poll, "\(error)", underlying: error)
        }
    }

    // MARK: Redirects

    /// Makes a request, and again elsewhere if it is the session's first and redirects answer it.
    private func followingRedirects<Answer>(
        _ request: () async throws(EngineIOClientError) -> Answer
    ) async throws(EngineIOClientError) -> Answer {
        var redirectsLeft = configuration.maxRedirects
        while true {
            do throws(EngineIOClientError) {
                return try await request()
            } catch {
                guard configuration.maxRedirects > 0, id == nil, let response = error.response, Redirect.isRedirect(response.status) else {
                    throw error
                }
                try await follow(response, error.kind, redirectsLeft)
                redirectsLeft -= 1
            }
        }
    }

    private func follow(
        _ response: HTTPResponse, _ kind: EngineIOClientError.Kind, _ redirectsLeft: Int
    ) async throws(EngineIOClientError) {
        let (old, poller) = lock.withLock { (currentAddress, self.poller) }
        do {
            let new = try old.redirected(by: response)
            guard redirectsLeft > 0 else { throw Redirect.tooMany(configuration.maxRedirects, from: old.server, to: new.server) }
            // What is made of an address, TLS and names, is made anew; cookies are for the server that has set them.
            let cookies = new.server.isSameOrigin(as: old.server) ? poller?.cookieJar : nil
            let next = try poller.map { _ in try LongPoller(new, configuration, cookies ?? CookieJar()) }
            lock.withLock {
                currentAddress = new
                self.poller = next
            }
            configuration.logger.debug("following a redirect", metadata: ["to": "\(new.server.authority)"])
        } catch {
            throw EngineIOClientError(kind, "\(error)", response: response, underlying: error)
        }
        await poller?.shutDown()
    }

    // MARK: WebSocket

    private func openSocket(_ link: Link) {
        spawn(link) {
            do throws(EngineIOClientError) {
                try await self.followingRedirects { () async throws(EngineIOClientError) in try await self.connectSocket(link) }
            } catch {
                self.run { machine, _ in machine.failed(link, error) }
            }
        }
    }

    private func connectSocket(_ link: Link) async throws(EngineIOClientError) {
        let (sid, cookies, address) = lock.withLock { (machine.opening?.sid, poller?.cookies, currentAddress) }
        do {
            _ = try await WebSocketClient.connect(
                address.webSocket(sid: sid), configuration: socketConfiguration(address, cookies)
            ) { _ in ClientSocketHandler(session: self, link: link) }
        } catch {
            throw EngineIOClientError(.webSocket, "\(error)", response: (error as? HandshakeRefused)?.response, underlying: error)
        }
    }

    private func socketConfiguration(_ address: EngineIOClientAddress, _ cookies: String?) -> WebSocketClient.Configuration {
        var connection = ConnectionConfiguration(limits: Limits(maxMessageSize: configuration.maxMessageSize))
        connection.compression = configuration.compression
        // Engine.IO has its own heartbeat.
        connection.keepalive = nil
        connection.closeTimeout = configuration.closeTimeout
        connection.maxSendBuffer = configuration.maxBufferedBytes
        return WebSocketClient.Configuration(
            headers: address.fields(cookies: cookies), tls: configuration.tls, proxy: configuration.proxy,
            timeout: configuration.timeout, maxRedirects: 0,
            connection: connection, logger: configuration.logger, eventLoopGroup: configuration.eventLoopGroup)
    }

    fileprivate func opened(_ link: Link, _ socket: WebSocket) {
        let isWanted = lock.withLock {
            sockets[link] = socket
            return !dropped.contains(link)
        }
        guard isWanted else { return socket.terminate() }
        run { machine, _ in machine.socketOpened(link) }
    }

    fileprivate func received(_ link: Link, _ message: Message) {
        do throws(EngineIOError) {
            let packet = try EngineIOPacket(webSocket: message)
            run { $0.received(link, packet, at: $1) }
        } catch {
            let failure = EngineIOClientError(.invalidPacket, "\(error)", underlying: error)
            run { machine, _ in machine.failed(link, failure) }
        }
    }

    fileprivate func closed(_ link: Link, _ closure: Closure) {
        lock.withLock { _ = sockets.removeValue(forKey: link) }
        let error = EngineIOClientError(.webSocketClosed, "\(closure)")
        run { machine, _ in machine.failed(link, error) }
    }

    private func send(_ link: Link, _ packets: [Outgoing]) {
        guard let socket = lock.withLock({ sockets[link] }) else { return }
        // What the socket does not take ends it, and so the session: nothing is left out unknowingly.
        for packet in packets { packet.send(over: socket, supportsBinary: true) }
    }

    // MARK: The end

    private func drop(_ link: Link, _ gracefully: Bool) {
        let (socket, jobs) = lock.withLock {
            dropped.insert(link)
            return (sockets[link], self.jobs.values.filter { $0.link == link })
        }
        if let socket { gracefully ? socket.close() : socket.terminate() }
        // A poll that is broken off would end the session before the close packet does.
        if !gracefully || !jobs.contains(where: \.isPost) { for job in jobs { job.task.cancel() } }
    }

    private func ended(_ closure: EngineIOClosure, _ error: EngineIOClientError?) {
        configuration.logger.debug("session ended", metadata: ["reason": "\(closure)"])
        let handler = handler
        self.handler = nil
        handler?.closed(self, closure, error)
        Task { await self.tearDown() }
    }

    /// Waits for what is left to end, and ends it.
    private func tearDown() async {
        let posts = lock.withLock { jobs.values.filter(\.isPost).map(\.task) }
        if !posts.isEmpty {
            let limit = Task {
                try? await Task.sleep(for: configuration.closeTimeout)
                for post in posts { post.cancel() }
            }
            for post in posts { await post.value }
            limit.cancel()
            await limit.value
        }
        let rest = lock.withLock { Array(jobs.values.map(\.task)) }
        for task in rest { task.cancel() }
        for task in rest { await task.value }
        for socket in lock.withLock({ Array(sockets.values) }) { _ = await socket.waitUntilClosed() }
        await lock.withLock { poller }?.shutDown()
        done()
    }
}

/// Passes on what happens on a WebSocket.
private struct ClientSocketHandler: WebSocketHandler {
    let session: EngineIOClientSession
    let link: EngineIOClientSession.Link

    func opened(_ socket: WebSocket) { session.opened(link, socket) }
    func received(_ message: Message, from socket: WebSocket) { session.received(link, message) }
    func closed(_ socket: WebSocket, _ closure: Closure) { session.closed(link, closure) }
}

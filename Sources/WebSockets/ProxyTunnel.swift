// How a proxy is made to open a tunnel: HTTP CONNECT (RFC 9110 §9.3.6) and SOCKS5 (RFC 1928), with NIO's handlers for both.
//
// Afterwards nothing of this is left in the pipeline. An observer stands at its end meanwhile, since the handlers report some faults only
// as errors that pass by, and in words that help nobody.

import NIOCore
import NIOExtras
import NIOHTTP1
import NIOSOCKS

extension Proxy {
    /// Has the proxy open a tunnel, over a channel that is connected to it.
    ///
    /// The future fails with `ConnectError`; whoever called then closes the channel.
    func openTunnel(_ channel: any Channel, to url: WebSocketURL, deadline: NIODeadline) -> EventLoopFuture<Void> {
        let opened = channel.eventLoop.makePromise(of: Void.self)
        let observer = TunnelObserver(opened, proxy: self, url: url)
        let handlers: [any RemovableChannelHandler] =
            switch kind {
            case .http(let credentials): connectHandlers(url, credentials, deadline, opened) + [observer]
            case .socks5: [SOCKSClientHandler(targetAddress: url.socksAddress), observer]
            }
        do {
            try channel.pipeline.syncOperations.addHandlers(handlers)
        } catch {
            opened.fail(error)
        }
        // What is added next must not go through these. The HTTP decoder leaves only when it is done with what it is decoding.
        return opened.futureResult.assumeIsolated().flatMapErrorThrowing { throw observer.explain($0) }.flatMap {
            let pipeline = channel.pipeline.syncOperations
            let removals = handlers.map { pipeline.removeHandler($0) }
            // One has left by itself; that it cannot be removed is no fault.
            return EventLoopFuture.whenAllComplete(removals, on: channel.eventLoop).map { _ in }
        }.nonisolated()
    }

    private func connectHandlers(
        _ url: WebSocketURL, _ credentials: String?, _ deadline: NIODeadline, _ opened: EventLoopPromise<Void>
    ) -> [any RemovableChannelHandler] {
        // > RFC 9110 §9.3.6: the host and port number of the tunnel destination, separated by a colon
        let target = "\(url.bracketedHost):\(url.port)"
        var headers: HTTPHeaders = ["host": target]
        if let credentials { headers.add(name: "proxy-authorization", value: BasicCredentials.field(credentials)) }
        return [
            HTTPRequestEncoder(), ByteToMessageHandler(HTTPResponseDecoder.limited()),
            ProxyAnswerObserver(opened, proxy: self, url: url),
            NIOHTTP1ProxyConnectHandler(
                targetHost: url.bracketedHost, targetPort: url.port, headers: headers, deadline: deadline, promise: opened),
        ]
    }
}

extension WebSocketURL {
    /// The host as SOCKS names it: an address as such, so that the proxy need not resolve it.
    fileprivate var socksAddress: SOCKSAddress {
        guard let address = try? SocketAddress(ipAddress: host, port: port) else { return .domain(host, port: port) }
        return .address(address)
    }
}

/// Puts into words what an HTTP proxy refused with: the handler behind it keeps the status to itself.
private final class ProxyAnswerObserver: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let opened: EventLoopPromise<Void>
    private let proxy: Proxy
    private let url: WebSocketURL

    init(_ opened: EventLoopPromise<Void>, proxy: Proxy, url: WebSocketURL) {
        self.opened = opened
        self.proxy = proxy
        self.url = url
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .some(.head(let head)) = Self.part(of: data), !(200..<300).contains(head.status.code) {
            let hint = head.status.code == 407 ? ": it wants a user name and password, or others than it got" : ""
            let phrase = HandshakeRefused.printable(head.status.reasonPhrase)
            opened.fail(ConnectError(.proxy, url, "the \(proxy) answered \(head.status.code) \(phrase)\(hint)"))
        }
        context.fireChannelRead(data)
    }
}

/// Notices that a SOCKS tunnel is open, and puts into words why a tunnel of either kind is not.
private final class TunnelObserver: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Never

    private let opened: EventLoopPromise<Void>
    private let proxy: Proxy
    private let url: WebSocketURL

    init(_ opened: EventLoopPromise<Void>, proxy: Proxy, url: WebSocketURL) {
        self.opened = opened
        self.proxy = proxy
        self.url = url
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.fireChannelRead(data) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is SOCKSProxyEstablishedEvent { opened.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { opened.fail(error) }

    func channelInactive(context: ChannelHandlerContext) {
        opened.fail(ChannelError.eof)
        context.fireChannelInactive()
    }

    func explain(_ error: any Error) -> ConnectError {
        if let known = error as? ConnectError { return known }
        let text = Proxy.reason(error) ?? other(error)
        return ConnectError(proxy: proxy, url, text, underlying: error)
    }

    private func other(_ error: any Error) -> String {
        switch error {
        case ChannelError.eof: "closed the connection"
        case is HTTPParserError: "does not speak HTTP: \(error)"
        case let error as NIOHTTP1ProxyConnectHandler.Error where error == .remoteConnectionClosed(): "closed the connection"
        default: "failed: \(ConnectError.reason(error))"
        }
    }
}

extension Proxy {
    /// What an error of SOCKS means; nil for any other.
    static func reason(_ error: any Error) -> String? {
        switch error {
        case let error as SOCKSError.ConnectionFailed: "did not connect: \(meaning(error.reply.value)) (reply \(error.reply.value))"
        case is SOCKSError.NoValidAuthenticationMethod, is SOCKSError.InvalidAuthenticationSelection:
            "wants a user name and password, which is not supported for SOCKS5"
        case is SOCKSError.InvalidProtocolVersion: "does not speak SOCKS5"
        default: nil
        }
    }

    /// RFC 1928 §6.
    private static func meaning(_ reply: UInt8) -> String {
        let meanings = [
            1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
            5: "connection refused by the server", 6: "TTL expired", 7: "command not supported", 8: "address type not supported",
        ]
        return meanings[Int(reply)] ?? "unknown reason"
    }
}

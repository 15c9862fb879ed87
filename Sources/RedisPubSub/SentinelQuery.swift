// Asks Sentinels where the master is: one after another, each for a part of the time that connecting may take, until one answers.

import NIOCore
import NIOPosix
import NIOSSL

/// No Sentinel has said where the master is.
struct SentinelError: Error, Sendable, Hashable, CustomStringConvertible {
    let description: String
}

struct SentinelQuery: Sendable {
    let sentinel: RedisSentinel
    let settings: RedisConfiguration
    let eventLoop: any EventLoop

    /// Where the master is, as the first Sentinel says that can be asked and knows.
    func master() -> EventLoopFuture<RedisSentinel.Address> { ask(sentinel.addresses[...], []) }

    private func ask(_ addresses: ArraySlice<RedisSentinel.Address>, _ failures: [String]) -> EventLoopFuture<RedisSentinel.Address> {
        guard let address = addresses.first else {
            let why = failures.isEmpty ? "none is named" : failures.joined(separator: "; ")
            return eventLoop.makeFailedFuture(SentinelError(description: "no Sentinel says where \(sentinel.master) is: \(why)"))
        }
        return ask(address).flatMapError { error in
            self.ask(addresses.dropFirst(), failures + ["\(address): \(error)"])
        }
    }

    /// What one may take, so that all can be asked before the time for connecting is over, and the master be reached.
    private var patience: TimeAmount {
        .nanoseconds(TimeAmount(settings.connectTimeout).nanoseconds / Int64(sentinel.addresses.count + 1))
    }

    private func ask(_ address: RedisSentinel.Address) -> EventLoopFuture<RedisSentinel.Address> {
        let promise = eventLoop.makePromise(of: RedisSentinel.Address.self)
        let (settings, commands) = (settings, commands)
        let timeout = eventLoop.scheduleTask(in: patience) { promise.fail(SentinelError(description: "it did not answer in time")) }
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(patience)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try settings.secure(channel, host: address.host)
                    try channel.pipeline.syncOperations.addHandler(SentinelHandler(commands, promise))
                }
            }
        bootstrap.connect(host: address.host, port: address.port).whenComplete { result in
            switch result {
            case .success(let channel): promise.futureResult.whenComplete { _ in channel.close(promise: nil) }
            case .failure(let error): promise.fail(error)
            }
        }
        promise.futureResult.whenComplete { _ in timeout.cancel() }
        return promise.futureResult
    }

    private var commands: [RedisCommand] {
        let question = RedisCommand("SENTINEL", "get-master-addr-by-name", sentinel.master)
        guard let password = sentinel.password else { return [question] }
        return [RedisCommand(["AUTH"] + (sentinel.user.map { [$0] } ?? []) + [password]), question]
    }
}

extension RedisConfiguration {
    /// Has a channel speak TLS, if the address says so.
    func secure(_ channel: any Channel, host: String) throws {
        guard url.isTLS else { return }
        let context = try NIOSSLContext(configuration: tls)
        let name = (try? SocketAddress(ipAddress: host, port: 0)) == nil ? host : nil
        try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: name))
    }
}

/// Asks on one connection, and takes the last answer.
private final class SentinelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let commands: [RedisCommand]
    private let promise: EventLoopPromise<RedisSentinel.Address>
    private var parser = RESPParser(limits: RESPLimits(maxReplySize: 65_536))
    private var missing: Int

    init(_ commands: [RedisCommand], _ promise: EventLoopPromise<RedisSentinel.Address>) {
        self.commands = commands
        self.promise = promise
        missing = commands.count
    }

    func channelActive(context: ChannelHandlerContext) {
        var bytes = ByteBuffer()
        for command in commands { command.write(to: &bytes) }
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        parser.append(unwrapInboundIn(data))
        do {
            while missing > 0, let value = try parser.next() { try take(value) }
        } catch {
            promise.fail(error)
        }
    }

    private func take(_ value: RESPValue) throws {
        if case .error(let text) = value { throw SentinelError(description: text) }
        missing -= 1
        guard missing == 0 else { return }
        if case .null = value { throw SentinelError(description: "it knows no master of this name") }
        guard case .array(let values) = value, values.count == 2, let host = values[0].text, !host.isEmpty,
            let port = values[1].text.flatMap({ Int($0) }), 1...65_535 ~= port
        else { throw SentinelError(description: "what it says is no address") }
        promise.succeed(RedisSentinel.Address(host: host, port: port))
    }

    func channelInactive(context: ChannelHandlerContext) { promise.fail(SentinelError(description: "it has closed the connection")) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }
}

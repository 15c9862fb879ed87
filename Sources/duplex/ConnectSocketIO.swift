// `duplex connect --socketio`: which client it makes of its arguments, and how it ends.

import ArgumentParser
import EngineIO
import SocketIO
import WebSocketCore
import WebSockets

/// A transport as it is typed on the command line.
struct SocketIOTransportArgument: ExpressibleByArgument, Equatable {
    let transport: EngineIOTransport

    init?(argument: String) {
        guard let transport = EngineIOTransport(rawValue: argument) else { return nil }
        self.transport = transport
    }
}

extension Connect {
    func validateSocketIO() throws {
        guard isSocketIO else {
            guard namespace == nil, auth == nil, transports.isEmpty, ackTimeout == nil else {
                throw ValidationError("--namespace, --auth, --transport and --ack-timeout go with --socketio")
            }
            return
        }
        guard !binary, ping == nil, client.subprotocols.isEmpty else {
            throw ValidationError("--binary, --ping and --subprotocol do not go with --socketio")
        }
        guard (0...86_400).contains(ackTimeout ?? 0) else { throw ValidationError("--ack-timeout needs seconds from 0 to 86400") }
        _ = try authObject()
    }

    /// How long an acknowledgement is waited for: 5 s, a slow server's answer over a slow network.
    static let defaultAckTimeout = 5.0

    private var conversationOptions: SocketIOConversation.Options {
        let seconds = ackTimeout ?? Self.defaultAckTimeout
        return .init(silence: .seconds(wait), ackTimeout: seconds > 0 ? .seconds(seconds) : nil)
    }

    /// What the server is told.
    private func authObject() throws -> SocketIOAuth {
        guard let auth else { return .none }
        guard let object = (try? SocketIOValue(json: auth))?.object else { throw ValidationError("--auth needs a JSON object") }
        return .value(object)
    }

    func talkSocketIO(_ console: Console, _ interrupts: Interrupts) async throws {
        do {
            if client.insecure { await console.note("the server's certificate is not checked (--insecure)") }
            let io = try SocketIOClient(url, configuration: socketIOConfiguration())
            let socket = io.socket(namespace)
            interrupts.close { socket.disconnect() }
            let isGood = try await SocketIOConversation(io, socket, console, options: conversationOptions).run()
            throw isGood ? ExitCode.success : ExitCode.failure
        } catch let status as ExitCode {
            throw status
        } catch {
            await console.fail(ErrorText.of(error))
            throw (error as? EngineIOClientError)?.kind == .usage ? ExitCode.validationFailure : ExitCode.failure
        }
    }

    private func socketIOConfiguration() throws -> SocketIOClientConfiguration {
        var configuration = SocketIOClientConfiguration()
        let common = client.configuration
        (configuration.engine.headers, configuration.engine.tls) = (common.headers, common.tls)
        configuration.engine.path = path
        configuration.engine.compression = compression.compression
        configuration.engine.maxMessageSize = LineSplitter.defaultLimit
        if !transports.isEmpty { configuration.engine.transports = transports.map(\.transport) }
        configuration.auth = try authObject()
        return configuration
    }
}

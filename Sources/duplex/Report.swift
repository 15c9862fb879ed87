// What the command says at its end, and its exit status.

import ArgumentParser
import HTTPTypes
import WebSocketCore
import WebSockets

/// How a connection ended, for people and for scripts.
enum Report {
    /// 0 if both close frames went through and the code tells of no fault (1000, 1001, or none); else 1.
    static func status(of closure: Closure) -> Int32 { closure.isNormal ? 0 : 1 }

    /// 64 for what is wrong with the arguments, 1 for everything else that prevents or breaks a connection.
    static func status(of error: any Error) -> Int32 {
        error is InvalidURL || error is HandshakeUsageError ? ExitCode.validationFailure.rawValue : ExitCode.failure.rawValue
    }

    /// One line: where the connection goes, and what was agreed on.
    static func line(opened socket: WebSocket) -> String {
        "connected to \(address(socket))\(socket.subprotocol.map { ", subprotocol \($0)" } ?? "")"
    }

    /// Where a connection goes, without the credentials.
    static func address(_ socket: WebSocket) -> String {
        let request = socket.request
        // The handshake is an HTTP request, so its scheme is HTTP's.
        return "\(request.scheme == "https" ? "wss" : "ws")://\(request.authority ?? "")\(request.path ?? "")"
    }

    /// One line: the code and what it means, the reason, and who closed.
    static func line(_ closure: Closure) -> String {
        let meaning = meaning(of: closure.code).map { " (\($0))" } ?? ""
        let reason = closure.reason.isEmpty ? "" : " “\(closure.reason)”"
        let who = closure.initiator == .local ? "by this end" : "by the server"
        return "closed \(who): \(closure.code)\(meaning)\(reason)\(closure.isClean ? "" : ", without a complete close handshake")"
    }

    /// What a code means: RFC 6455 §7.4.1 and IANA's registry, in a few words.
    private static func meaning(of code: CloseCode) -> String? {
        switch code {
        case .normalClosure: "normal"
        case .goingAway: "going away"
        case .protocolError: "protocol error"
        case .unsupportedData: "unsupported data"
        case .noStatusReceived: "no code given"
        case .abnormalClosure: "connection lost"
        case .invalidFramePayloadData: "invalid data"
        case .policyViolation: "policy violation"
        case .messageTooBig: "message too big"
        case .mandatoryExtension: "extension missing"
        case .internalServerError: "internal error"
        case .serviceRestart: "service restart"
        case .tryAgainLater: "try again later"
        case .badGateway: "bad gateway"
        default: nil
        }
    }
}

extension Duration {
    /// As round trips are read: `0.21 ms`.
    var inMilliseconds: String {
        let hundredths = Int64((self / .microseconds(10)).rounded())
        let fraction = hundredths % 100
        return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) ms"
    }
}

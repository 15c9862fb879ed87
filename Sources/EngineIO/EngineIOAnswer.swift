// What a request of long-polling is answered with, whichever way the answer takes: to the client, or first to the node that the client speaks to.

import HTTPTypes
import NIOCore

enum EngineIOAnswer {
    /// What a poll is answered with.
    case packets(ByteBuffer, isCompressed: Bool)
    /// A POST was taken.
    case ok
    /// 400 without a body, as Node answers what overlaps.
    case empty
    case refusal(EngineIORefusal)
    case contentTooLarge
    /// What a browser asks before it lets a page send a request.
    case preflight(HTTPFields)

    /// As HTTP has it.
    var response: (HTTPResponse, ByteBuffer) {
        switch self {
        case .packets(let payload, let isCompressed):
            var fields = Self.fields("text/plain; charset=UTF-8")
            if isCompressed { fields[.contentEncoding] = "gzip" }
            return (HTTPResponse(status: .ok, headerFields: fields), payload)
        // Not text/plain: some old browsers would offer to save it.
        case .ok: return (HTTPResponse(status: .ok, headerFields: Self.fields("text/html")), ByteBuffer(string: "ok"))
        case .empty: return (HTTPResponse(status: .badRequest), ByteBuffer())
        case .refusal(let refusal):
            let head = HTTPResponse(status: refusal.status, headerFields: [.contentType: "application/json"])
            return (head, ByteBuffer(string: refusal.json))
        case .contentTooLarge: return (HTTPResponse(status: .contentTooLarge), ByteBuffer())
        case .preflight(let fields): return (HTTPResponse(status: .noContent, headerFields: fields), ByteBuffer())
        }
    }

    private static func fields(_ type: String) -> HTTPFields { [.contentType: type, .cacheControl: "no-store"] }

    /// As another node is told of it.
    var forwarded: EngineIOForwardedAnswer {
        switch self {
        case .packets(let payload, let isCompressed): .packets(payload, isCompressed: isCompressed)
        case .ok: .ok
        case .empty: .refused
        case .refusal(.sessionUnknown): .sessionUnknown
        case .refusal, .preflight: .badRequest
        case .contentTooLarge: .contentTooLarge
        }
    }

    /// What another node has answered.
    init(_ forwarded: EngineIOForwardedAnswer) {
        self =
            switch forwarded {
            case .packets(let payload, let isCompressed): .packets(payload, isCompressed: isCompressed)
            case .ok: .ok
            case .refused: .empty
            case .badRequest: .refusal(.badRequest)
            case .contentTooLarge: .contentTooLarge
            case .sessionUnknown: .refusal(.sessionUnknown)
            case .overloaded: .refusal(.tooManyForwarded)
            }
    }
}

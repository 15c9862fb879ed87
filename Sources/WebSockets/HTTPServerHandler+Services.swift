// A request that a service answers, now or much later: it is begun with its head, so that the service can judge it before its body has come.

import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import WebSocketCore

/// A request of a service.
struct ServedRequest {
    let request: any HTTPServiceRequest
    /// Whether the connection ends with the answer.
    var closes: Bool
    /// The answer, if it was there before the request was whole.
    var early: ServerResponse?
}

extension HTTPServerHandler {
    /// Begins the request with the service that its path leads to; false if it is none's, or a WebSocket handshake.
    func beginService(_ head: HTTPRequestHead) -> Bool {
        guard let service = server.service(head.path), !head.asksForWebSocket else { return false }
        guard let request = request(head) else { return true }
        number &+= 1
        guard let respond = responder(number) else { return true }
        let begun = service.begin(request, respond: respond)
        served = ServedRequest(request: begun, closes: closes(after: head), early: served?.early)
        return true
    }

    /// Gives a whole request to its service; false if none has begun it.
    func finishService() -> Bool {
        guard let served else { return false }
        if let early = served.early {
            finish(early)
        } else {
            served.request.received(body)
        }
        return true
    }

    /// What takes the answer to one request, on any thread; an answer to an earlier one finds nobody.
    private func responder(_ number: Int) -> (@Sendable (ServerResponse) -> Void)? {
        guard context != nil else { return nil }
        let bound = ThreadBound(self, to: thread)
        let thread = thread
        return { response in thread.perform { bound.value.take(response, number) } }
    }

    private func take(_ response: ServerResponse, _ number: Int) {
        guard number == self.number else { return }
        switch state {
        case .deciding: finish(response)
        // It leaves once the request has come: a client that still sends does not read.
        case .reading: keep(response)
        default: break
        }
    }

    private func keep(_ response: ServerResponse) {
        // From within `begin`, there is nothing yet to keep it in.
        if served == nil { served = ServedRequest(request: AnsweredRequest(), closes: true) }
        served?.early = response
    }

    private func finish(_ response: ServerResponse) {
        let closes = served?.closes ?? true
        served = nil
        send(response, closes: closes)
    }

    /// The body of a service's request is over its limit.
    func refuseServiceBody(_ served: ServedRequest) {
        state = .deciding
        if let early = served.early {
            self.served?.closes = true
            return finish(early)
        }
        log("the body is over \(served.request.maxBodyBytes) bytes", .limit, .contentTooLarge)
        self.served = ServedRequest(request: served.request, closes: true)
        served.request.bodyOverLimit()
    }
}

/// Stands for a request that was answered before it could be kept.
private final class AnsweredRequest: HTTPServiceRequest {
    let maxBodyBytes = 0
    func received(_ body: ByteBuffer) {}
    func bodyOverLimit() {}
    func cancel() {}
}

extension HTTPRequestHead {
    /// The path without the query.
    fileprivate var path: Substring { uri.prefix { $0 != "?" } }

    /// Whether it wants to change to WebSocket. Others can be ignored (RFC 9110 §7.8): some clients offer HTTP/2 in every request.
    fileprivate var asksForWebSocket: Bool { HeaderTokens.contains("websocket", in: headers["upgrade"]) }
}

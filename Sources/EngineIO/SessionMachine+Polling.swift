// A session on long-polling: polls and POSTs; Engine.IO protocol 4, "HTTP long-polling". The rules are in SessionMachine.swift.

import DequeModule
import WebSocketCore

extension SessionMachine {
    /// A client asks for what there is.
    mutating func poll(_ exchange: Exchange, at now: Timestamp) {
        guard phase == .open || phase == .closing, socket == nil else { return actions.append(.respond(exchange, .badRequest)) }
        // > a client MUST NOT have more than one active `GET` request. Should it happen, the server MUST return an HTTP 400 error
        // > status and close the session.
        guard poll == nil else {
            end(.transportError, "two polls at a time")
            return actions.append(.respond(exchange, .badRequest))
        }
        poll = exchange
        if phase == .closing { drain(at: now) } else { flush() }
    }

    /// Gives a closing session's client what is left, and then the close packet, in an answer of its own as in Node.
    ///
    /// The official client hands on what a payload holds one tick later, and has closed by then: what shares the payload of a close packet
    /// is lost.
    private mutating func drain(at now: Timestamp) {
        guard !queue.isEmpty else { return end(.forcedClose) }
        flush()
        // The client is there: it has as long for what is still left.
        deadline = now.advanced(by: settings.closeTimeout)
    }

    /// A client begins to send something; false if it may not, and has been told so.
    mutating func postBegan(_ exchange: Exchange, isBinary: Bool, at now: Timestamp) -> Bool {
        guard phase == .open || phase == .closing, socket == nil else { return refuse(exchange) }
        // > a client MUST NOT have more than one active `POST` request. Should it happen, the server MUST return an HTTP 400 error
        // > status and close the session.
        guard post == nil else {
            end(.transportError, "two POSTs at a time")
            return refuse(exchange)
        }
        // Protocol 3 had a binary form of payloads; protocol 4 has none.
        guard !isBinary else {
            end(.transportError, "a POST of application/octet-stream")
            return refuse(exchange)
        }
        post = exchange
        return true
    }

    private mutating func refuse(_ exchange: Exchange) -> Bool {
        actions.append(.respond(exchange, .badRequest))
        return false
    }

    /// A packet of a POST. One that began before the upgrade still counts.
    mutating func received(_ packet: EngineIOPacket, from exchange: Exchange, at now: Timestamp) {
        guard post === exchange else { return }
        take(packet, at: now)
    }

    /// The POST is over.
    ///
    /// > To indicate success, the server MUST return an HTTP 200 response, with the string `ok` in the response body.
    mutating func postEnded(_ exchange: Exchange, _ error: EngineIOError?) {
        let isKnown = post === exchange
        if isKnown { post = nil }
        if let error, isKnown { end(.parseError, error.description) }
        // A session that the POST itself has closed is no failure of the POST.
        actions.append(.respond(exchange, isKnown && error == nil ? .ok : .badRequest))
    }

    /// The POST was refused by whoever received its body; the session goes on.
    mutating func postRefused(_ exchange: Exchange) {
        if post === exchange { post = nil }
    }

    /// Whoever carried a poll can wait no longer, but the client is there: it gets nothing, and polls again.
    mutating func released(_ exchange: Exchange) {
        guard poll === exchange else { return }
        poll = nil
        actions.append(.respond(exchange, .packets([.control(EngineIOPacket(.noop))])))
    }

    /// A request was broken off before its answer.
    mutating func cancelled(_ exchange: Exchange) {
        if poll === exchange {
            poll = nil
            end(.transportError, "the poll was broken off")
        } else if post === exchange {
            post = nil
            end(.transportError, "a POST was broken off")
        }
    }
}

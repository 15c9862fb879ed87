// How the exhibits talk with a page: JSON both ways, and an answer to what they can not take.
//
// A page sends {"say":{"text":"hello"}}; that is the case `say(text:)` of an enum, which Swift decodes by itself. Events go the same way.

import NIOCore
import WebSocketCore
import WebSockets

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Why a message was not taken; the page gets it as {"refused":{"reason":"…"}}.
struct Refusal: Error, Equatable {
    let reason: String
    init(_ reason: String) { self.reason = reason }

    private enum Event: Encodable { case refused(reason: String) }
    var message: Message { .json(Event.refused(reason: reason)) }
}

extension Message {
    /// A text message of JSON.
    static func json(_ value: some Encodable) -> Message {
        // The events are plain values that can always be encoded.
        .text((try? JSONEncoder().encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "{}")
    }

    /// The value that the JSON of a text message stands for.
    func decoded<Value: Decodable>(as type: Value.Type, atMost bytes: Int) throws(Refusal) -> Value {
        guard payload.readableBytes <= bytes else {
            throw Refusal("Too large: \(payload.readableBytes) bytes; at most \(bytes) are taken.")
        }
        guard let text else { throw Refusal("A binary message is not understood here; send JSON as text.") }
        do {
            return try JSONDecoder().decode(type, from: Data(text.utf8))
        } catch let refusal as Refusal {
            throw refusal
        } catch {
            throw Refusal("Not understood: this is not the JSON of a request that there is.")
        }
    }
}

extension WebSocket {
    /// Who speaks, by the `{user}` of the route; a page makes up an id for each tab.
    var user: String { (parameters["user"] ?? "").cut(to: 64) }

    /// Hands each message to a closure, as a value, until the connection ends. What is too large, of the wrong shape or too fast is answered,
    /// and so is what the closure refuses; who goes on too fast for long is cut off.
    func converse<Request: Decodable>(
        _ type: Request.Type, within limits: RateLimits, atMost bytes: Int = 4096, _ body: (Request) async throws -> Void
    ) async throws {
        try await converse(within: limits) { try await body($0.decoded(as: type, atMost: bytes)) }
    }

    /// Hands each message to a closure as it came, text or binary; see above.
    func converse(within limits: RateLimits, _ body: (Message) async throws -> Void) async throws {
        // A comparison has no user, but its own name.
        let user = user.isEmpty ? run : user
        var excess = 0
        for try await message in self {
            do {
                guard limits.allows(user, at: .now) else {
                    excess += 1
                    guard excess < 100 else { return try close(code: .policyViolation, reason: "too many messages in spite of warnings") }
                    throw Refusal("Too fast: \(Int(limits.perSecond)) messages a second are taken.")
                }
                excess = 0
                try await body(message)
            } catch let refusal as Refusal {
                try await send(refusal.message)
            }
        }
    }
}

extension String {
    /// What a user typed, without spaces around it.
    ///
    /// - Throws: `Refusal` if nothing is left that can be seen, or too much.
    func checked(_ what: String, _ lengths: ClosedRange<Int>) throws(Refusal) -> String {
        let text = String(drop { $0.isWhitespace }.reversed().drop { $0.isWhitespace }.reversed())
        guard lengths.contains(text.unicodeScalars.count) else {
            throw Refusal("\(what) must have \(lengths.lowerBound) to \(lengths.upperBound) characters.")
        }
        let unseen: [Unicode.GeneralCategory] = [.control, .format, .spaceSeparator]
        guard text.isEmpty || text.unicodeScalars.contains(where: { !unseen.contains($0.properties.generalCategory) }) else {
            throw Refusal("\(what) must have something to be seen.")
        }
        return text
    }

    /// Its beginning: so many Unicode scalars, as what a reader takes for one character may be any number of them.
    func cut(to length: Int) -> String { String(unicodeScalars.prefix(length)) }
}

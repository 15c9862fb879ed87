import Testing
import WebSocketCore

@testable import WebSocketDeflate

/// Both ends of the negotiation, by the header's text (RFC 7692 §7.1).
struct DeflateNegotiationTests {
    private static func answer(_ offers: String, _ compression: Compression) throws -> String? {
        DeflateNegotiation.answer(try ExtensionList.parse([offers]), compression).map { ExtensionList.serialize([$0.parameters.offer]) }
    }

    private static func check(_ answer: String, _ compression: Compression) throws -> DeflateAgreement? {
        try DeflateNegotiation.check(try ExtensionList.parse(answer.isEmpty ? [] : [answer]), compression)
    }

    // MARK: The server

    @Test(arguments: [
        // What browsers offer.
        ("permessage-deflate; client_max_window_bits", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        ("permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
        (
            "permessage-deflate; server_max_window_bits=10; client_max_window_bits=9",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10"
        ),
    ]) func sharedKeepsNothing(offer: String, answer: String) throws {
        #expect(try Self.answer(offer, .shared) == answer)
    }

    @Test(arguments: [
        ("permessage-deflate", 15, "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits", 15, "permessage-deflate"),
        ("permessage-deflate; client_max_window_bits=10", 15, "permessage-deflate; client_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=8", 15, "permessage-deflate; server_max_window_bits=8"),
        ("permessage-deflate; server_max_window_bits=15", 15, "permessage-deflate; server_max_window_bits=15"),
        ("permessage-deflate; server_no_context_takeover", 15, "permessage-deflate; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", 15, "permessage-deflate; client_no_context_takeover"),
        (
            "permessage-deflate; client_max_window_bits", 12,
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"
        ),
        (
            "permessage-deflate; client_max_window_bits=9; server_max_window_bits=14", 12,
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=9"
        ),
        (
            "permessage-deflate; server_max_window_bits=9", 12,
            "permessage-deflate; client_no_context_takeover; server_max_window_bits=9"
        ),
        // A client that can not limit its window: then it must forget.
        ("permessage-deflate", 12, "permessage-deflate; client_no_context_takeover; server_max_window_bits=12"),
    ]) func dedicatedKeepsWhatItSays(offer: String, bits: Int, answer: String) throws {
        #expect(try Self.answer(offer, .dedicated(windowBits: bits)) == answer)
    }

    /// D3.
    @Test(arguments: [
        "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=08", "server_max_window_bits=1000",
        "server_max_window_bits", "server_max_window_bits=10; server_max_window_bits=10", "client_max_window_bits=7",
        "client_max_window_bits=16", "client_max_window_bits=010", "client_max_window_bits; client_max_window_bits=9",
        "client_max_window_bits=a", "client_max_window_bits=1a", "server_no_context_takeover=1", "client_no_context_takeover=true",
        "server_no_context_takeover; server_no_context_takeover", "unknown", "unknown=1", "Server_No_Context_Takeover",
        "server_max_window_bits=9223372036854775808",
    ]) func declinesWhatIsWrong(parameters: String) throws {
        #expect(try Self.answer("permessage-deflate; \(parameters)", .shared) == nil)
        #expect(try Self.answer("permessage-deflate; \(parameters)", .dedicated()) == nil)
        // The next offer can be met.
        #expect(try Self.answer("permessage-deflate; \(parameters), x-other, permessage-deflate", .dedicated()) == "permessage-deflate")
    }

    @Test func takesQuotedValues() throws {
        #expect(
            try Self.answer("permessage-deflate; server_max_window_bits=\"10\"", .dedicated())
                == "permessage-deflate; server_max_window_bits=10")
    }

    @Test func takesTheFirstThatCanBeMet() throws {
        #expect(
            try Self.answer("permessage-deflate; server_max_window_bits=11, permessage-deflate; server_max_window_bits=12", .dedicated())
                == "permessage-deflate; server_max_window_bits=11")
    }

    @Test func declinesWhereItIsOffOrNotOffered() throws {
        #expect(try Self.answer("permessage-deflate", .off) == nil)
        #expect(try Self.answer("x-webkit-deflate-frame, permessage-bzip2", .shared) == nil)
        #expect(DeflateNegotiation.answer([], .shared) == nil)
    }

    // MARK: The client

    @Test func offersWhatItKeeps() {
        func offer(_ compression: Compression) -> String? {
            DeflateNegotiation.offer(compression).map { ExtensionList.serialize([$0.offer]) }
        }
        #expect(offer(.off) == nil)
        #expect(offer(.shared) == "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits")
        #expect(offer(.dedicated()) == "permessage-deflate; client_max_window_bits")
        #expect(
            offer(.dedicated(windowBits: 11)) == "permessage-deflate; server_max_window_bits=11; client_max_window_bits=11")
    }

    @Test func takesWhatAnswersTheOffer() throws {
        #expect(try Self.check("", .shared) == nil)
        let shared = try #require(try Self.check("permessage-deflate; server_no_context_takeover", .shared))
        #expect(shared.forgetsSent && shared.forgetsReceived)
        let plain = try #require(try Self.check("permessage-deflate", .dedicated()))
        #expect(!plain.forgetsSent && !plain.forgetsReceived)
        #expect(plain.sentWindowBits == 15 && plain.receivedWindowBits == 15)
        let limited = try #require(
            try Self.check("permessage-deflate; client_max_window_bits=9; server_max_window_bits=10", .dedicated(windowBits: 11)))
        #expect(limited.sentWindowBits == 9 && limited.receivedWindowBits == 10)
        let forgetful = try #require(try Self.check("permessage-deflate; client_no_context_takeover", .dedicated()))
        #expect(forgetful.forgetsSent && !forgetful.forgetsReceived)
        // What the server does not limit, this end may.
        let own = try #require(try Self.check("permessage-deflate; server_max_window_bits=11", .dedicated(windowBits: 11)))
        #expect(own.sentWindowBits == 11)
    }

    @Test(arguments: [
        "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=08", "server_max_window_bits=1000",
        "server_max_window_bits", "server_max_window_bits=10; server_max_window_bits=10", "client_max_window_bits",
        "client_max_window_bits=16", "unknown", "server_no_context_takeover=1",
    ]) func failsAtWhatIsWrong(parameters: String) {
        let answer = "permessage-deflate; server_no_context_takeover; \(parameters)"
        #expect(throws: HandshakeFailure.self) { try Self.check(answer, .shared) }
        #expect(throws: HandshakeFailure.self) { try Self.check(answer, .dedicated()) }
    }

    @Test func failsAtWhatDoesNotAnswerTheOffer() {
        #expect(throws: HandshakeFailure.self) { try Self.check("permessage-deflate", .shared) }
        #expect(throws: HandshakeFailure.self) { try Self.check("permessage-deflate", .dedicated(windowBits: 11)) }
        #expect(throws: HandshakeFailure.self) {
            try Self.check("permessage-deflate; server_max_window_bits=12", .dedicated(windowBits: 11))
        }
    }

    @Test func seesTheAgreementFromItsOwnEnd() throws {
        let offers = try ExtensionList.parse(["permessage-deflate; client_max_window_bits=9; server_max_window_bits=10"])
        let server = try #require(DeflateNegotiation.answer(offers, .dedicated(windowBits: 12)))
        #expect(server.sentWindowBits == 10 && server.receivedWindowBits == 9)
        #expect(!server.forgetsSent && !server.forgetsReceived)
    }
}

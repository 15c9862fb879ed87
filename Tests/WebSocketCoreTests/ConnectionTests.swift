// One connection without I/O (RFC 6455 §5–§7): what it takes in, what it lets out, and every transition of its state.

import Testing

@testable import WebSocketCore

@Suite struct ConnectionTests {
    private typealias Event = Connection.Event

    /// The events of one read.
    private func receive(_ bytes: [UInt8], _ connection: inout Connection) throws(ProtocolError) -> [Event] {
        var bytes = bytes
        var events: [Event] = []
        var failure: ProtocolError?
        bytes.withUnsafeMutableBytes { bytes in
            var offset = 0
            do throws(ProtocolError) {
                while let event = try connection.receive(bytes, at: &offset) { events.append(event) }
                #expect(offset == bytes.count)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return events
    }

    // MARK: Messages

    @Test func handsOutAWholeMessageWhereItLies() throws {
        var server = Connection(role: .server)
        let events = try receive(hex("81 85 37 FA 21 3D 7F 9F 4D 51 58  82 81 00 00 00 00 FF"), &server)
        #expect(events == [.message(.text, 6..<11, isCompressed: false), .message(.binary, 17..<18, isCompressed: false)])
    }

    @Test func handsOutAnEmptyMessage() throws {
        var client = Connection(role: .client)
        #expect(try receive(hex("81 00"), &client) == [.message(.text, 2..<2, isCompressed: false)])
    }

    @Test func handsOutTheFragmentsOfAMessage() throws {
        var client = Connection(role: .client)
        let events = try receive(hex("01 01 41  00 00  80 01 42"), &client)
        #expect(
            events == [
                .piece(.text, 2..<3, isCompressed: false, isLast: false), .piece(.text, 5..<5, isCompressed: false, isLast: false),
                .piece(.text, 7..<8, isCompressed: false, isLast: true),
            ])
    }

    @Test func handsOutWhatIsThereOfAFrame() throws {
        var client = Connection(role: .client)
        #expect(try receive(hex("82 03"), &client) == [.piece(.binary, 2..<2, isCompressed: false, isLast: false)])
        #expect(try receive(hex("01 02"), &client) == [.piece(.binary, 0..<2, isCompressed: false, isLast: false)])
        #expect(try receive(hex("03"), &client) == [.piece(.binary, 0..<1, isCompressed: false, isLast: true)])
    }

    @Test func marksEveryPieceOfACompressedMessage() throws {
        var client = Connection(role: .client, allowsCompression: true)
        let events = try receive(hex("C1 01 FF  42 01 FF 80 01 FF  81 00"), &client)
        #expect(
            events == [
                .message(.text, 2..<3, isCompressed: true), .piece(.binary, 5..<6, isCompressed: true, isLast: false),
                .piece(.binary, 8..<9, isCompressed: true, isLast: true), .message(.text, 11..<11, isCompressed: false),
            ])
    }

    @Test func takesControlFramesBetweenFragments() throws {
        var client = Connection(role: .client)
        let events = try receive(hex("01 01 41  89 02 01 02  80 01 42"), &client)
        #expect(
            events == [
                .piece(.text, 2..<3, isCompressed: false, isLast: false), .ping,
                .piece(.text, 9..<10, isCompressed: false, isLast: true),
            ])
        #expect(client.controlPayload == [1, 2])
    }

    @Test func collectsAControlFrameOverSeveralReads() throws {
        var server = Connection(role: .server)
        #expect(try receive(hex("8A 83 01 02 03 04 00"), &server) == [])
        #expect(try receive(hex("00"), &server) == [])
        #expect(try receive(hex("00"), &server) == [.pong])
        #expect(server.controlPayload == [1, 2, 3])
        #expect(try receive(hex("89 80 00 00 00 00"), &server) == [.ping])
        #expect(server.controlPayload == [])
    }

    // MARK: The peer closes

    @Test func echoesThePeersCode() throws {
        var client = Connection(role: .client)
        #expect(try receive(hex("88 05 0F A0 62 79 65"), &client) == [.close(beganByPeer: true)])
        #expect(client.state == .closingByPeer)
        #expect(client.closure == Closure(code: CloseCode(rawValue: 4000), reason: "bye", initiator: .remote, isClean: true))
        #expect(client.answerClose() == hex("0F A0"))
        #expect(client.state == .closed)
        #expect(client.answerClose() == nil)
    }

    /// §5.5.1 forbids data after a close frame that was sent, not after one that was received.
    @Test func mayAnswerTheLastMessagesBeforeThePeersClose() throws {
        var server = Connection(role: .server)
        #expect(try receive(hex("88 80 00 00 00 00"), &server) == [.close(beganByPeer: true)])
        #expect(try server.send(.text, length: 1).payloadLength == 1)
        #expect(try server.close(code: .normalClosure, reason: "") == nil)
        #expect(server.answerClose() == [])
        #expect(throws: UsageError(.sendAfterClose)) { _ = try server.send(.text, length: 1) }
    }

    @Test func aCloseThatThePeerBeganStaysItsOwn() throws {
        var server = Connection(role: .server)
        _ = try receive(hex("88 82 00 00 00 00 0F A0"), &server)
        #expect(server.fail(code: .tryAgainLater, reason: "slow") == hex("0F A0"))
        #expect(server.closure == Closure(code: CloseCode(rawValue: 4000), initiator: .remote, isClean: true))
    }

    @Test func answersACloseWithoutACodeWithTheSame() throws {
        var client = Connection(role: .client)
        #expect(try receive(hex("88 00"), &client) == [.close(beganByPeer: true)])
        #expect(client.closure == Closure(code: .noStatusReceived, initiator: .remote, isClean: true))
        #expect(client.answerClose() == [])
    }

    @Test func passesOverWhatFollowsAClose() throws {
        var client = Connection(role: .client)
        #expect(try receive(hex("88 00 81 01 41 88 00 FF FF"), &client) == [.close(beganByPeer: true)])
        #expect(try receive(hex("FF FF FF"), &client) == [])
    }

    @Test func closesInTheMiddleOfAMessage() throws {
        var client = Connection(role: .client)
        let events = try receive(hex("01 01 41  88 02 03 E9"), &client)
        #expect(events == [.piece(.text, 2..<3, isCompressed: false, isLast: false), .close(beganByPeer: true)])
        #expect(client.closure?.code == .goingAway)
    }

    // MARK: This end closes

    @Test func closesAndAwaitsTheAnswer() throws {
        var server = Connection(role: .server)
        #expect(server.closure == nil)
        #expect(try server.close(code: .goingAway, reason: "later") == hex("03 E9") + Array("later".utf8))
        #expect(server.state == .closingByUs)
        #expect(server.closure == Closure(code: .goingAway, reason: "later", initiator: .local, isClean: false))
        #expect(try receive(hex("88 82 00 00 00 00 03 E9"), &server) == [.close(beganByPeer: false)])
        #expect(server.state == .closed)
        #expect(server.closure == Closure(code: .goingAway, reason: "later", initiator: .local, isClean: true))
    }

    @Test func closesWithoutACode() throws {
        var server = Connection(role: .server)
        #expect(try server.close(code: nil, reason: "not sent without a code") == [])
        #expect(server.closure == Closure(code: .noStatusReceived, initiator: .local, isClean: false))
    }

    @Test func closesOnce() throws {
        var server = Connection(role: .server)
        _ = try server.close(code: .normalClosure, reason: "")
        #expect(try server.close(code: .goingAway, reason: "again") == nil)
        #expect(server.closure?.code == .normalClosure)
    }

    @Test func dropsDataButTakesPongsWhileItAwaitsTheAnswer() throws {
        var server = Connection(role: .client)
        #expect(try receive(hex("02 01 41"), &server).count == 1)
        _ = try server.close(code: .normalClosure, reason: "")
        #expect(try receive(hex("80 01 42  81 01 43  89 00  8A 01 44"), &server) == [.pong])
        #expect(server.controlPayload == [0x44])
        #expect(try receive(hex("88 02 03 E8"), &server) == [.close(beganByPeer: false)])
    }

    @Test func stillJudgesDataWhileItAwaitsTheAnswer() throws {
        var server = Connection(role: .client)
        _ = try server.close(code: .normalClosure, reason: "")
        #expect(throws: ProtocolError(.invalidUTF8)) { _ = try receive(hex("81 01 FF"), &server) }
        #expect(server.fail(ProtocolError(.invalidUTF8)) == nil)
        #expect(server.state == .closed)
        #expect(server.closure == Closure(code: .normalClosure, initiator: .local, isClean: false))
    }

    @Test func mayCloseWithWhatTheRFCAllowsOnly() throws {
        for value in UInt16.min...UInt16.max {
            let code = CloseCode(rawValue: value)
            var connection = Connection(role: .server)
            let frame = try? connection.close(code: code, reason: "")
            #expect((frame != nil) == code.isSendable, "\(value)")
            #expect(connection.state == (code.isSendable ? .closingByUs : .open), "\(value)")
        }
    }

    @Test func fitsTheReasonIntoAControlFrame() throws {
        var server = Connection(role: .server)
        #expect(throws: UsageError(.closeReasonTooLong)) {
            _ = try server.close(code: .normalClosure, reason: String(repeating: "ä", count: 62))
        }
        #expect(server.state == .open)
        let reason = String(repeating: "ä", count: 61) + "!"
        #expect(try server.close(code: .normalClosure, reason: reason)?.count == 125)
    }

    // MARK: Failure and disconnection

    @Test func failsWithTheRulesCode() {
        var server = Connection(role: .server)
        let error = ProtocolError(.unmaskedFrame)
        #expect(server.fail(error) == hex("03 EA") + Array("sent an unmasked frame to a server".utf8))
        #expect(server.state == .closed)
        #expect(server.closure == Closure(code: .protocolError, reason: error.reason, initiator: .local, isClean: false))
        #expect(server.fail(error) == nil)
    }

    @Test func failsForACauseOfItsOwn() {
        var server = Connection(role: .server)
        #expect(server.fail(code: .internalServerError, reason: "") == hex("03 F3"))
        #expect(server.closure?.code == .internalServerError)
    }

    @Test(arguments: [Closure.Initiator.local, .remote]) func isAbnormalWithoutACloseFrame(initiator: Closure.Initiator) {
        var client = Connection(role: .client)
        client.disconnected(by: initiator)
        #expect(client.state == .closed)
        #expect(client.closure == Closure(code: .abnormalClosure, initiator: initiator, isClean: false))
    }

    @Test func keepsTheCauseWhenTheStreamEndsAfterwards() throws {
        var failed = Connection(role: .client)
        _ = failed.fail(ProtocolError(.maskedFrame))
        failed.disconnected(by: .remote)
        #expect(failed.closure?.code == .protocolError)

        var unanswered = Connection(role: .client)
        _ = try unanswered.close(code: .normalClosure, reason: "")
        unanswered.disconnected(by: .remote)
        #expect(unanswered.closure == Closure(code: .normalClosure, initiator: .local, isClean: false))

        var closed = Connection(role: .client)
        _ = try receive(hex("88 02 03 E8"), &closed)
        closed.disconnected(by: .local)
        #expect(closed.closure == Closure(code: .normalClosure, initiator: .remote, isClean: true))
    }
}

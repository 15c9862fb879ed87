// What one connection lets out (RFC 6455 §5.4, §5.5, §6.1): frame headers, and the order of messages sent piece by piece.

import Testing

@testable import WebSocketCore

@Suite struct ConnectionSendingTests {
    @Test func sendsAMessageInOneFrame() throws {
        let server = Connection(role: .server)
        #expect(try server.send(.text, length: 5) == FrameHeader(opcode: .text, payloadLength: 5))
        let compressed = try server.send(.binary, length: 70000, isCompressed: true)
        #expect(compressed == FrameHeader(opcode: .binary, payloadLength: 70000, isCompressed: true))
    }

    @Test func masksWithTheKeyOfEachFrame() throws {
        let client = Connection(role: .client)
        #expect(try client.send(.text, length: 0, maskKey: 7).maskKey == 7)
        #expect(try client.send(.text, length: 0, maskKey: 8).maskKey == 8)
        #expect(try client.sendControl(.ping, length: 0, maskKey: 9).maskKey == 9)
    }

    @Test func sendsAMessagePieceByPiece() throws {
        var client = Connection(role: .client)
        #expect(client.isSendingPieces == false)
        try client.beginMessage(.text)
        #expect(client.isSendingPieces == true)
        let headers = [
            try client.sendPiece(length: 3, isLast: false, maskKey: 1), try client.sendPiece(length: 0, isLast: false, maskKey: 2),
            try client.sendPiece(length: 2, isLast: true, maskKey: 3),
        ]
        #expect(client.isSendingPieces == false)
        #expect(
            headers == [
                FrameHeader(opcode: .text, payloadLength: 3, isFinal: false, maskKey: 1),
                FrameHeader(opcode: .continuation, payloadLength: 0, isFinal: false, maskKey: 2),
                FrameHeader(opcode: .continuation, payloadLength: 2, isFinal: true, maskKey: 3),
            ])
    }

    @Test func sendsAMessageOfOnePieceAsOneFrame() throws {
        var server = Connection(role: .server)
        try server.beginMessage(.binary)
        #expect(try server.sendPiece(length: 1, isLast: true) == FrameHeader(opcode: .binary, payloadLength: 1))
        #expect(try server.send(.text, length: 1) == FrameHeader(opcode: .text, payloadLength: 1))
    }

    @Test func doesNotMixMessages() throws {
        var server = Connection(role: .server)
        #expect(throws: UsageError(.noMessageBegun)) { _ = try server.sendPiece(length: 1, isLast: true) }
        try server.beginMessage(.text)
        #expect(throws: UsageError(.unfinishedMessage)) { try server.beginMessage(.text) }
        #expect(throws: UsageError(.unfinishedMessage)) { _ = try server.send(.binary, length: 1) }
        // A control frame may stand between the fragments (§5.4).
        #expect(try server.sendControl(.pong, length: 0) == FrameHeader(opcode: .pong, payloadLength: 0))
        _ = try server.sendPiece(length: 1, isLast: true)
        #expect(throws: UsageError(.noMessageBegun)) { _ = try server.sendPiece(length: 1, isLast: true) }
    }

    @Test func keepsControlFramesShort() throws {
        let server = Connection(role: .server)
        #expect(try server.sendControl(.ping, length: 125).payloadLength == 125)
        #expect(throws: UsageError(.controlTooLong)) { _ = try server.sendControl(.ping, length: 126) }
    }

    @Test func sendsNothingAfterAClose() throws {
        var closing = Connection(role: .server)
        try closing.beginMessage(.text)
        _ = try closing.close(code: .normalClosure, reason: "")
        expectNothingLeaves(&closing)
        var failed = Connection(role: .client)
        _ = failed.fail(ProtocolError(.maskedFrame))
        expectNothingLeaves(&failed)
        var gone = Connection(role: .client)
        gone.disconnected(by: .remote)
        expectNothingLeaves(&gone)
    }

    private func expectNothingLeaves(_ connection: inout Connection) {
        let closed = UsageError(.sendAfterClose)
        #expect(throws: closed) { _ = try connection.send(.text, length: 1) }
        #expect(throws: closed) { try connection.beginMessage(.text) }
        #expect(throws: closed) { _ = try connection.sendPiece(length: 1, isLast: true) }
        #expect(throws: closed) { _ = try connection.sendControl(.ping, length: 0) }
    }
}

// From frames to messages: their order, their limits and their UTF-8 (RFC 6455 §5.4, §8.1).

import Testing

@testable import WebSocketCore

@Suite struct MessageAssemblerTests {
    /// What an assembler says to frames given as first byte and payload: the rule that the last of them broke, or nil.
    private func feed(_ frames: [(UInt8, [UInt8])], limits: Limits = Limits()) -> ProtocolError.Rule? {
        var assembler = MessageAssembler(limits: limits)
        do {
            for (first, payload) in frames { try feed(first, payload, into: &assembler) }
            return nil
        } catch {
            return (error as? ProtocolError)?.rule
        }
    }

    private func feed(_ first: UInt8, _ payload: [UInt8], into assembler: inout MessageAssembler) throws {
        try assembler.begin(header(first, payload.count))
        try payload.withUnsafeBytes { try assembler.take($0, endsMessage: first & 0x80 != 0) }
    }

    private func header(_ first: UInt8, _ length: Int) -> FrameHeader {
        FrameHeader(
            opcode: Opcode(rawValue: first & 0xF) ?? .continuation, payloadLength: length, isFinal: first & 0x80 != 0,
            isCompressed: first & 0x40 != 0)
    }

    // MARK: Order

    @Test func knowsTheMessageThatIsUnderWay() throws {
        var assembler = MessageAssembler(limits: Limits())
        #expect(assembler.kind == nil)
        try feed(0x01, [0x41], into: &assembler)
        #expect(assembler.kind == .text)
        try feed(0x00, [], into: &assembler)
        #expect(assembler.kind == .text)
        try feed(0x80, [0x42], into: &assembler)
        #expect(assembler.kind == nil)
        try feed(0x02, [], into: &assembler)
        #expect(assembler.kind == .binary)
    }

    @Test func refusesAContinuationOfNothing() {
        #expect(feed([(0x80, [])]) == .unexpectedContinuation)
        #expect(feed([(0x00, [])]) == .unexpectedContinuation)
        #expect(feed([(0x82, []), (0x80, [])]) == .unexpectedContinuation)
        #expect(feed([(0x02, []), (0x80, []), (0x80, [])]) == .unexpectedContinuation)
    }

    @Test func refusesAMessageInsideAnother() {
        #expect(feed([(0x02, []), (0x82, [])]) == .unfinishedMessage)
        #expect(feed([(0x01, []), (0x00, []), (0x01, [])]) == .unfinishedMessage)
    }

    // MARK: Limits

    @Test func takesAMessageOfJustTheLimit() {
        let limits = Limits(maxMessageSize: 4)
        #expect(feed([(0x82, [1, 2, 3, 4])], limits: limits) == nil)
        #expect(feed([(0x02, [1, 2]), (0x00, [3]), (0x80, [4]), (0x82, [1, 2, 3, 4])], limits: limits) == nil)
        #expect(feed([(0x82, [1, 2, 3, 4, 5])], limits: limits) == .messageTooBig)
        #expect(feed([(0x02, [1, 2]), (0x00, [3, 4]), (0x80, [5])], limits: limits) == .messageTooBig)
    }

    @Test func namesTheLimitOfFramesWhereItIsTheSmaller() {
        let limits = Limits(maxMessageSize: 6, maxFrameSize: 3)
        #expect(feed([(0x82, [1, 2, 3, 4])], limits: limits) == .frameTooBig)
        #expect(feed([(0x02, [1, 2, 3]), (0x00, [1, 2, 3]), (0x80, [])], limits: limits) == nil)
        #expect(feed([(0x02, [1, 2, 3]), (0x00, [1, 2, 3]), (0x80, [1])], limits: limits) == .messageTooBig)
    }

    @Test func refusesByTheHeaderAlone() {
        var assembler = MessageAssembler(limits: Limits())
        #expect(throws: ProtocolError(.messageTooBig, 2_147_483_648)) {
            try assembler.begin(header(0x82, 2_147_483_648))
        }
    }

    @Test func survivesASumBeyondTheLargestNumber() throws {
        var assembler = MessageAssembler(limits: Limits(maxMessageSize: .max))
        try assembler.begin(header(0x02, .max))
        #expect(throws: ProtocolError(.messageTooBig, UInt64(Int.max))) { try assembler.begin(header(0x00, 1)) }
    }

    @Test func countsEmptyFragments() {
        let limits = Limits(maxFragments: 3)
        #expect(feed([(0x02, []), (0x00, []), (0x80, []), (0x02, []), (0x00, []), (0x80, [])], limits: limits) == nil)
        #expect(feed([(0x02, []), (0x00, []), (0x00, []), (0x00, [])], limits: limits) == .tooManyFragments)
    }

    // MARK: UTF-8

    @Test func followsACharacterAcrossFragments() {
        #expect(feed([(0x01, [0xE2, 0x82]), (0x00, []), (0x80, [0xAC])]) == nil)
        #expect(feed([(0x01, [0xE2, 0x82]), (0x80, [0x41])]) == .invalidUTF8)
    }

    @Test func refusesABadByteBeforeTheMessageEnds() {
        #expect(feed([(0x01, [0x41, 0xFF])]) == .invalidUTF8)
        #expect(feed([(0x01, []), (0x00, [0xED, 0xA0])]) == .invalidUTF8)
    }

    @Test func refusesATextThatEndsInsideACharacter() {
        #expect(feed([(0x81, [0xE2, 0x82])]) == .invalidUTF8)
        #expect(feed([(0x01, [0xE2, 0x82]), (0x80, [])]) == .invalidUTF8)
    }

    @Test func beginsEachTextAnew() {
        #expect(feed([(0x81, [0x41]), (0x81, [0xAC])]) == .invalidUTF8)
        #expect(feed([(0x81, [0xC3, 0xA4]), (0x82, [0xE2]), (0x81, [0xC3, 0xA4])]) == nil)
    }

    @Test func leavesBinaryAndCompressedBytesAlone() {
        #expect(feed([(0x82, [0xFF]), (0x02, [0xC3]), (0x80, [0xFF])]) == nil)
        #expect(feed([(0xC1, [0xFF]), (0x41, [0xC3]), (0x80, [0xFF]), (0x81, [0x41])]) == nil)
        #expect(feed([(0xC1, [0xFF]), (0x81, [0xFF])]) == .invalidUTF8)
    }
}

extension MessageAssembler {
    fileprivate init(limits: Limits) { self.init(limits: SharedLimits(limits)) }
}

// From bytes to frames (RFC 6455 §5.2): the RFC's examples, pieces, and the byte at which each broken rule is seen.

import Testing

@testable import WebSocketCore

@Suite struct FrameParserTests {
    /// What a parser makes of bytes that arrive in these reads.
    private struct Outcome: Equatable {
        var chunks: [FrameChunk] = []
        var payloads: [[UInt8]] = []
        /// The broken rule, and how many bytes had been read before the read that broke it.
        var error: ProtocolError?
        var readsTaken = 0
    }

    private func parse(_ reads: [[UInt8]], role: Role = .client, allowsCompression: Bool = false) -> Outcome {
        var parser = FrameParser(role: role, allowsCompression: allowsCompression)
        var outcome = Outcome()
        for read in reads {
            var bytes = read
            bytes.withUnsafeMutableBytes { bytes in
                var offset = 0
                do throws(ProtocolError) {
                    while let chunk = try parser.next(bytes, at: &offset) {
                        outcome.chunks.append(chunk)
                        outcome.payloads.append(Array(bytes[chunk.payload]))
                    }
                    #expect(offset == bytes.count)
                } catch {
                    outcome.error = error
                }
            }
            if outcome.error != nil { break }
            outcome.readsTaken += 1
        }
        return outcome
    }

    /// How many bytes must be there before the parser refuses them, coming one by one; nil if it never does.
    private func refusal(_ bytes: [UInt8], role: Role, allowsCompression: Bool = false) -> (ProtocolError.Rule, afterBytes: Int)? {
        let outcome = parse(bytes.map { [$0] }, role: role, allowsCompression: allowsCompression)
        // In one read the same rule is broken.
        #expect(parse([bytes], role: role, allowsCompression: allowsCompression).error == outcome.error)
        return outcome.error.map { ($0.rule, outcome.readsTaken + 1) }
    }

    // MARK: Frames

    @Test func readsAnUnmaskedFrame() {
        let outcome = parse([hex("81 05 48 65 6C 6C 6F")])
        #expect(
            outcome.chunks == [
                FrameChunk(header: FrameHeader(opcode: .text, payloadLength: 5), payload: 2..<7, isFirst: true, isLast: true)
            ])
        #expect(outcome.payloads == [Array("Hello".utf8)])
    }

    @Test func unmasksInPlace() {
        let outcome = parse([hex("81 85 37 FA 21 3D 7F 9F 4D 51 58")], role: .server)
        #expect(outcome.payloads == [Array("Hello".utf8)])
        #expect(outcome.chunks.first?.payload == 6..<11)
        #expect(outcome.chunks.first?.header.maskKey == hex("37 FA 21 3D").withUnsafeBytes { $0.load(as: UInt32.self) })
    }

    @Test func readsTheFragmentsOfTheRFC() {
        let outcome = parse([hex("01 03 48 65 6C  80 02 6C 6F")])
        #expect(outcome.chunks.map(\.header.opcode) == [.text, .continuation])
        #expect(outcome.chunks.map(\.header.isFinal) == [false, true])
    }

    @Test(arguments: [0, 1, 125, 126, 127, 65535, 65536, 70000], [Role.server, .client])
    func readsEveryFormOfTheLength(length: Int, role: Role) {
        let payload = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let bytes = frame(plainFrame(0x82, payload), to: role, key: [1, 2, 3, 4])
        let outcome = parse([bytes], role: role)
        #expect(outcome.payloads == [payload])
        #expect(outcome.chunks.first?.header.payloadLength == length)
    }

    @Test func handsOutAPayloadAsFarAsItIsThere() {
        let outcome = parse([hex("82 03"), hex("AA"), hex("BB CC")])
        #expect(outcome.payloads == [[], [0xAA], [0xBB, 0xCC]])
        #expect(outcome.chunks.map(\.isFirst) == [true, false, false])
        #expect(outcome.chunks.map(\.isLast) == [false, false, true])
    }

    @Test func needsNoPayloadToEndAnEmptyFrame() {
        let outcome = parse([hex("82 00 89 00")])
        #expect(outcome.chunks.map(\.header.opcode) == [.binary, .ping])
        #expect(outcome.chunks.allSatisfy { $0.isFirst && $0.isLast && $0.payload.isEmpty })
    }

    @Test func keepsTheMasksPlaceAcrossReads() {
        let bytes = hex("81 85 37 FA 21 3D 7F 9F 4D 51 58")
        for split in 6...11 {
            let outcome = parse([Array(bytes[..<split]), Array(bytes[split...])], role: .server)
            #expect(outcome.payloads.flatMap { $0 } == Array("Hello".utf8), "split at \(split)")
        }
    }

    @Test func takesNothingFromNothing() {
        #expect(parse([[], hex("82"), [], hex("00"), []]).chunks.count == 1)
    }

    @Test func readsTheLargestLengthWithoutWaitingForIt() {
        let outcome = parse([hex("82 7F 7F FF FF FF FF FF FF FF 01 02")])
        #expect(outcome.chunks.first?.header.payloadLength == .max)
        #expect(outcome.payloads == [[1, 2]])
    }

    // MARK: Short messages

    /// Where the short way answers, it takes what the long way takes; where it does not, it touches nothing.
    @Test func theShortWayTakesWhatTheLongWayTakes() {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededGenerator(seed: seed)
        var taken = 0
        for _ in 0..<20_000 {
            let role: Role = Int.random(in: 0..<8, using: &random) == 0 ? .client : .server
            let length = Int.random(in: 0..<140, using: &random)
            var bytes = (0..<length).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            if length > 1 {
                bytes[0] = [0x81, 0x82, 0x01, 0x80, 0xC1, 0x89, 0x88, 0x8A, 0x83, 0x91].randomElement(using: &random) ?? 0
                let announced = UInt8(clamping: max(0, length - 6 + Int.random(in: -2...2, using: &random)))
                bytes[1] = announced & 0x7F | (bytes[1] & 0xC0 == 0 ? 0 : 0x80)
            }
            let limit = Int.random(in: 0..<4, using: &random) == 0 ? Int.random(in: 0..<130, using: &random) : .max
            var (short, long) = (FrameParser(role: role), FrameParser(role: role))
            var (shortBytes, longBytes, shortOffset, longOffset) = (bytes, bytes, 0, 0)
            let message = shortBytes.withUnsafeMutableBytes { short.nextShortMessage($0, at: &shortOffset, under: limit) }
            guard let message else {
                #expect(shortBytes == bytes && shortOffset == 0, "seed \(seed)")
                continue
            }
            taken += 1
            let chunk = longBytes.withUnsafeMutableBytes { try? long.next($0, at: &longOffset) }
            #expect(chunk?.payload == message.payload && chunk?.isFirst == true && chunk?.isLast == true, "seed \(seed)")
            #expect(chunk?.header.isFinal == true && chunk?.header.isCompressed == false, "seed \(seed)")
            #expect(chunk?.header.opcode == (message.isText ? .text : .binary), "seed \(seed)")
            #expect(shortBytes == longBytes && shortOffset == longOffset && message.payload.count < limit, "seed \(seed)")
        }
        #expect(taken > 500)
    }

    @Test func theShortWayLeavesWhatBeganBefore() {
        var parser = FrameParser(role: .server)
        var (bytes, offset) = (hex("82 86 00 00 00 00 01 02"), 0)
        _ = bytes.withUnsafeMutableBytes { try? parser.next($0, at: &offset) }
        (bytes, offset) = (hex("81 80 00 00 00 00"), 0)
        #expect(bytes.withUnsafeMutableBytes { parser.nextShortMessage($0, at: &offset, under: .max) } == nil, "inside a payload")
        parser = FrameParser(role: .server)
        (bytes, offset) = (hex("82"), 0)
        _ = bytes.withUnsafeMutableBytes { try? parser.next($0, at: &offset) }
        (bytes, offset) = (hex("81 80 00 00 00 00"), 0)
        #expect(bytes.withUnsafeMutableBytes { parser.nextShortMessage($0, at: &offset, under: .max) } == nil, "inside a header")
    }

    // MARK: Refusals

    @Test(arguments: [Role.server, .client]) func refusesReservedOpcodesAtTheFirstByte(role: Role) {
        for opcode: UInt8 in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            let refused = refusal(frame([0x80 | opcode, 0], to: role), role: role)
            #expect(refused?.0 == .reservedOpcode, "opcode \(opcode)")
            #expect(refused?.afterBytes == 1)
        }
    }

    @Test(arguments: [Role.server, .client]) func refusesReservedBitsAtTheFirstByte(role: Role) {
        for bits: UInt8 in [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70] {
            for opcode: UInt8 in [0, 1, 2, 8, 9, 10] {
                let refused = refusal(frame([0x80 | bits | opcode, 0], to: role), role: role)
                #expect(refused?.0 == .reservedBit, "bits \(bits), opcode \(opcode)")
                #expect(refused?.afterBytes == 1)
                let isCompressed = bits == 0x40 && (opcode == 1 || opcode == 2)
                let negotiated = refusal(frame([0x80 | bits | opcode, 0], to: role), role: role, allowsCompression: true)
                #expect(negotiated?.0 == (isCompressed ? nil : .reservedBit), "bits \(bits), opcode \(opcode)")
            }
        }
    }

    @Test func saysWhichFramesAreCompressed() {
        let outcome = parse([hex("C1 00 41 00 80 00 82 00")], allowsCompression: true)
        #expect(outcome.chunks.map(\.header.isCompressed) == [true, true, false, false])
    }

    @Test func refusesTheWrongMaskingAtTheSecondByte() throws {
        let toServer = try #require(refusal(hex("81 05 48"), role: .server))
        #expect(toServer == (.unmaskedFrame, 2))
        let toClient = try #require(refusal(hex("81 85 00"), role: .client))
        #expect(toClient == (.maskedFrame, 2))
    }

    @Test(arguments: [UInt8(0x88), 0x89, 0x8A]) func refusesLongAndFragmentedControlFramesAtTheSecondByte(first: UInt8) throws {
        for (role, mask) in [(Role.client, UInt8(0)), (.server, 0x80)] {
            #expect(try #require(refusal([first, mask | 126, 0, 126], role: role)) == (.controlTooLong, 2))
            #expect(try #require(refusal([first, mask | 127, 0], role: role)) == (.controlTooLong, 2))
            #expect(try #require(refusal([first & 0x7F, mask], role: role)) == (.controlFragmented, 2))
            #expect(refusal([first, mask | 125], role: role) == nil)
        }
    }

    @Test(
        arguments: [
            ("7E 0000", ProtocolError.Rule.nonMinimalLength, 4), ("7E 007D", .nonMinimalLength, 4),
            ("7F 0000000000000000", .nonMinimalLength, 10), ("7F 000000000000FFFF", .nonMinimalLength, 10),
            ("7F 8000000000000001", .negativeLength, 10), ("7F FFFFFFFFFFFFFFFF", .negativeLength, 10),
        ])
    func refusesLengthsOnceTheirBytesAreThere(length: String, rule: ProtocolError.Rule, afterBytes: Int) throws {
        let bytes = hex("82" + length)
        for role in [Role.client, .server] {
            // A server does not wait for the mask key that follows.
            let header = [bytes[0], bytes[1] | (role == .server ? 0x80 : 0)] + bytes[2...]
            #expect(try #require(refusal(header, role: role)) == (rule, afterBytes))
        }
    }

    @Test func tellsTheValueThatBrokeTheRule() {
        #expect(parse([hex("83 00")]).error?.value == 3)
        #expect(parse([hex("A2 00")]).error?.value == 2)
        #expect(parse([hex("82 7E 00 7D")]).error?.value == 125)
    }
}

// The frames that real servers fell to, as exact bytes, for both roles: the rule they break and the code they end with.
//
// The numbers are those of the project's list of bad inputs: F1 lengths, F2 a huge declared frame, F3 masking, F4 reserved bits and
// opcodes, F5 endless fragments, F8 close frames and control frames, F9 splits (every row here is split at every byte too).

import Testing

@testable import WebSocketCore

/// Frames that end a connection, as a server would send them; `frames(_:to:)` makes them a client's.
struct BadFrames: Sendable, CustomTestStringConvertible {
    let row: String
    let frames: [String]
    let rule: ProtocolError.Rule
    let code: CloseCode
    var limits = Limits()
    var allowsCompression = false

    init(
        _ row: String, _ frames: String..., breaks rule: ProtocolError.Rule, _ code: CloseCode = .protocolError,
        limits: Limits = Limits(), allowsCompression: Bool = false
    ) {
        self.row = row
        self.frames = frames
        self.rule = rule
        self.code = code
        self.limits = limits
        self.allowsCompression = allowsCompression
    }

    var testDescription: String { "\(row): \(frames.joined(separator: ", "))" }

    func scene(_ role: Role) -> Scene { Scene(role: role, limits: limits, allowsCompression: allowsCompression) }

    static let all: [BadFrames] = lengths + fragments + reserved + order + control + closes + texts

    private static let lengths = [
        BadFrames("F1", "82 7F FFFFFFFFFFFFFFFF", breaks: .negativeLength),
        BadFrames("F1", "82 7F 8000000000000001", breaks: .negativeLength),
        BadFrames("F1", "82 7F 7FFFFFFFFFFFFFFF", breaks: .messageTooBig, .messageTooBig),
        BadFrames("F1", "02 02 4142", "80 7F 7FFFFFFFFFFFFFFF", breaks: .messageTooBig, .messageTooBig),
        BadFrames(
            "F1", "02 02 4142", "80 7F 7FFFFFFFFFFFFFFF", breaks: .messageTooBig, .messageTooBig,
            limits: Limits(maxMessageSize: .max)),
        BadFrames("F1", "02 02 4142", "00 02 4344", "80 01 45", breaks: .messageTooBig, .messageTooBig, limits: Limits(maxMessageSize: 4)),
        BadFrames("F2", "82 7F 0000000080000000", breaks: .messageTooBig, .messageTooBig),
        BadFrames("F2", "81 7F 0000000000100001", breaks: .messageTooBig, .messageTooBig),
        BadFrames("F2", "82 05", breaks: .frameTooBig, .messageTooBig, limits: Limits(maxFrameSize: 4)),
        BadFrames("F8", "82 7E 0000", breaks: .nonMinimalLength),
        BadFrames("F8", "82 7E 007D", breaks: .nonMinimalLength),
        BadFrames("F8", "82 7F 0000000000000000", breaks: .nonMinimalLength),
        BadFrames("F8", "82 7F 000000000000FFFF", breaks: .nonMinimalLength),
    ]

    private static let fragments = [
        BadFrames(
            "F5", "02 01 41", "00 00", "00 00", "00 00", breaks: .tooManyFragments, .policyViolation, limits: Limits(maxFragments: 3)),
        BadFrames("F5", "02 00", "00 00", "80 00", breaks: .tooManyFragments, .policyViolation, limits: Limits(maxFragments: 2)),
    ]

    private static let reserved =
        ["C1 00", "A1 00", "91 00", "F1 00", "C2 01 41", "C0 00", "C8 00", "C9 00", "CA 00"].map {
            BadFrames("F4", $0, breaks: .reservedBit)
        }
        + ["C8 00", "C9 00", "CA 00", "A1 00", "91 00"].map { BadFrames("F4", $0, breaks: .reservedBit, allowsCompression: true) }
        + [
            BadFrames("F4", "41 01 41", "C0 01 42", breaks: .reservedBit, allowsCompression: true),
            BadFrames("F4", "01 01 41", "40 01 42", breaks: .reservedBit, allowsCompression: true),
        ]
        + ["83 00", "84 00", "85 00", "86 00", "87 00", "8B 00", "8C 00", "8D 00", "8E 00", "8F 00", "03 00", "0F 00"].map {
            BadFrames("F4", $0, breaks: .reservedOpcode)
        }

    private static let order = [
        BadFrames("§5.4", "80 00", breaks: .unexpectedContinuation), BadFrames("§5.4", "00 01 41", breaks: .unexpectedContinuation),
        BadFrames("§5.4", "81 01 41", "80 01 42", breaks: .unexpectedContinuation),
        BadFrames("§5.4", "01 01 41", "81 01 42", breaks: .unfinishedMessage),
        BadFrames("§5.4", "02 01 41", "00 01 42", "01 01 43", breaks: .unfinishedMessage),
    ]

    private static let control =
        ["88 7E 007E", "89 7E 007E", "8A 7E 007E", "88 7F 0000000000010000", "89 7F 0000000000010000"].map {
            BadFrames("F8", $0, breaks: .controlTooLong)
        }
        + ["08 00", "09 00", "0A 00", "09 01 41"].map { BadFrames("F8", $0, breaks: .controlFragmented) }

    private static let closes =
        ["0000", "03E7", "03EC", "03ED", "03EE", "03F7", "03F8", "07D0", "0BB7", "1388", "FFFF"].map {
            BadFrames("F8", "88 02 \($0)", breaks: .invalidCloseCode)
        }
        + [
            BadFrames("F8", "88 01 03", breaks: .truncatedCloseCode), BadFrames("F8", "88 01 00", breaks: .truncatedCloseCode),
            BadFrames("F8", "88 03 03E8 FF", breaks: .invalidUTF8, .invalidFramePayloadData),
            BadFrames("F8", "88 04 03E8 E282", breaks: .invalidUTF8, .invalidFramePayloadData),
            BadFrames("F8", "88 05 03E8 EDA080", breaks: .invalidUTF8, .invalidFramePayloadData),
        ]

    private static let texts = [
        BadFrames("§8.1", "81 01 FF", breaks: .invalidUTF8, .invalidFramePayloadData),
        BadFrames("§8.1", "81 02 E282", breaks: .invalidUTF8, .invalidFramePayloadData),
        BadFrames("§8.1", "81 14 CEBAE1BDB9CF83CEBCCEB5EDA080656469746564", breaks: .invalidUTF8, .invalidFramePayloadData),
        BadFrames("§8.1", "01 02 E282", "89 00", "80 00", breaks: .invalidUTF8, .invalidFramePayloadData),
        BadFrames("§8.1", "01 02 E282", "00 01 41", breaks: .invalidUTF8, .invalidFramePayloadData),
        BadFrames("§8.1", "01 04 F4908080", breaks: .invalidUTF8, .invalidFramePayloadData),
    ]
}

@Suite struct BadFramesTests {
    @Test(arguments: BadFrames.all, [Role.server, .client]) func endsWithTheRulesCode(bad: BadFrames, role: Role) throws {
        let bytes = frames(bad.frames, to: role)
        let recording = bad.scene(role).record(bytes)
        #expect(recording.brokenRule == bad.rule)
        #expect(recording.state == .closed)
        let closure = try #require(recording.closure)
        #expect(closure.code == bad.code)
        #expect(closure.initiator == .local && !closure.isClean)
        #expect(closure.reason == ProtocolError(bad.rule).reason)
        expectCloseFrame(of: recording, bad.code, role)
        #expect(recording.violation == nil)
    }

    /// What was written ends with a close frame of the code; what follows the bad frame changes nothing.
    private func expectCloseFrame(of recording: Recording, _ code: CloseCode, _ role: Role) {
        let peer = Scene(role: role == .server ? .client : .server).record(recording.output)
        #expect(peer.entries.last == .close(beganByPeer: true))
        #expect(peer.closure?.code == code)
    }

    @Test(arguments: BadFrames.all, [Role.server, .client]) func takesNothingAfterIt(bad: BadFrames, role: Role) {
        let bytes = frames(bad.frames, to: role)
        let followed = bad.scene(role).record(bytes + frames(["81 01 41", "89 00", "88 00"], to: role))
        #expect(followed == bad.scene(role).record(bytes))
    }

    // F3: the masking is judged once the second byte is there.
    @Test func refusesTheWrongMasking() {
        for first: UInt8 in [0x81, 0x82, 0x88, 0x89, 0x8A] {
            let toServer = Scene(role: .server).record([first, 0x05])
            #expect(toServer.brokenRule == .unmaskedFrame)
            #expect(toServer.closure?.code == .protocolError)
            let toClient = Scene(role: .client).record([first, 0x85])
            #expect(toClient.brokenRule == .maskedFrame)
            #expect(toClient.closure?.code == .protocolError)
        }
        #expect(Scene(role: .server).record([0x81]).brokenRule == nil)
    }

    // F2: a declared length is refused by the header, before any payload, and within the limits nothing is kept for it.
    @Test func waitsForNoPayloadOfAFrameThatIsTooBig() {
        #expect(Scene(role: .server).record(hex("82 FF 0000000080000000 00000000")).closure?.code == .messageTooBig)
        #expect(Scene(role: .server).record(hex("82 FF 0000000000100000 00000000")).closure?.code == .abnormalClosure)
    }

    private func repeated(_ unmasked: String, _ count: Int) -> [UInt8] {
        Array(repeatElement(frames([unmasked], to: .server), count: count).joined())
    }

    // F5: an endless message of one byte a frame ends at the limit of bytes, one of empty frames at that of fragments.
    @Test func endsEndlessFragments() {
        let limits = Limits(maxMessageSize: 1000, maxFragments: 2000)
        let bytes = frames(["02 01 41"], to: .server) + repeated("00 01 41", 5000)
        let tooBig = Scene(limits: limits).record(bytes)
        #expect(tooBig.entries == [.failure(ProtocolError(.messageTooBig, 1001))])
        let empty = frames(["02 00"], to: .server) + repeated("00 00", 5000)
        let tooMany = Scene(limits: limits).record(empty)
        #expect(tooMany.entries == [.failure(ProtocolError(.tooManyFragments, 2001))])
    }

    @Test func allowsTheSixtyFiveThousandFragmentsOfAutobahn() {
        let bytes = frames(["02 01 41"], to: .server) + repeated("00 01 41", 65534)
        let recording = Scene().record(bytes + frames(["80 01 41"], to: .server))
        #expect(recording.entries == [.binary([UInt8](repeating: 0x41, count: 65536))])
    }

    // F8: data after a close frame has no meaning, and is not judged either.
    @Test(arguments: [Role.server, .client]) func passesOverDataAfterAClose(role: Role) {
        let recording = Scene(role: role).record(frames(["88 02 03E8", "81 01 41", "83 00", "88 00"], to: role))
        #expect(recording.entries == [.close(beganByPeer: true)])
        #expect(recording.closure == Closure(code: .normalClosure, initiator: .remote, isClean: true))
    }

    @Test(arguments: [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
    func takesTheCodesThatMayBeSent(code: UInt16) {
        let payload = [UInt8(code >> 8), UInt8(code & 0xFF)]
        let recording = Scene(role: .client).record(plainFrame(0x88, payload))
        #expect(recording.closure == Closure(code: CloseCode(rawValue: code), initiator: .remote, isClean: true))
        #expect(Scene(role: .server).record(recording.output).closure?.code.rawValue == code)
    }

    @Test func takesTheLongestControlFrames() {
        let reason = [UInt8](repeating: 0x61, count: 123)
        let ping = [UInt8](repeating: 0x70, count: 125)
        let recording = Scene(role: .client).record(plainFrame(0x89, ping) + plainFrame(0x88, [0x03, 0xE8] + reason))
        #expect(recording.entries == [.ping(ping), .close(beganByPeer: true)])
        #expect(recording.closure?.reason.utf8.elementsEqual(reason) == true)
    }
}

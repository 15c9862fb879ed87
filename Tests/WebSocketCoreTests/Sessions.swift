// Named sessions with their exact bytes, for tests that hold for every one of them: splits (F9), and the plain reader.

import Testing
import WebSocketCore

/// What a peer sends from the end of the handshake on.
struct Session: Sendable, CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let scene: Scene

    var testDescription: String { "\(name), \(scene.role), \(bytes.count) bytes" }

    /// A session for each role: as a server sends it, and masked as a client does.
    private static func both(_ name: String, _ plain: [[UInt8]], _ scene: Scene = Scene()) -> [Session] {
        [Role.server, .client].map { role in
            var scene = scene
            scene.role = role
            return Session(name: name, bytes: plain.flatMap { frame($0, to: role, key: [0x37, 0xFA, 0x21, 0x3D]) }, scene: scene)
        }
    }

    private static func both(_ name: String, _ plain: String..., scene: Scene = Scene()) -> [Session] {
        both(name, plain.map { hex($0) }, scene)
    }

    static let all: [Session] = good + long + bad

    private static let good =
        both("hello", "81 05 48656C6C6F")
        + both("fragments of the RFC", "01 03 48656C", "80 02 6C6F")
        + both("empty messages", "81 00", "82 00", "01 00", "00 00", "80 00")
        + both("characters cut by fragments", "01 02 E282", "00 02 ACF0", "00 02 9F98", "80 01 80")
        + both("text and binary in turn", "81 03 E282AC", "82 03 E282FF", "81 01 41")
        + both("ping between fragments", "01 01 41", "89 03 010203", "00 01 42", "8A 01 FF", "80 01 43", "89 00")
        + both("close with a reason", "81 01 41", "88 06 03E8 627965 21")
        + both("close without a code", "88 00")
        + both("data after the close", "88 02 03E9", "81 01 41", "83 00", "89 00")
        + both("close inside a message", "02 02 0102", "88 02 0FA0")
        + both("compressed messages", "C1 01 FF", "42 02 FFFE", "89 01 41", "80 01 FD", "81 01 41", scene: Scene(allowsCompression: true))
        + both("the stream ends in a header", "81 01 41", "82 7E 01")
        + both("the stream ends in a payload", "81 01 41", "81 05 4865")
        + both("this end closes", "81 01 41", "81 01 42", "89 01 43", "8A 01 44", "88 02 03E8", "81 01 45", scene: Scene(closesAfter: 1))
        + both("this end closes in a message", "82 01 41", "02 01 42", "80 01 43", "88 00", scene: Scene(closesAfter: 1))
        + both("bad text after this end closed", "81 01 41", "81 01 FF", scene: Scene(closesAfter: 1))
        + both("a message of just the limit", "02 02 0102", "80 02 0304", "82 04 01020304", scene: Scene(limits: Limits(maxMessageSize: 4)))

    private static let long =
        both("every form of the length", [125, 126, 200, 256].map { plainFrame(0x82, (0..<$0).map { UInt8(truncatingIfNeeded: $0) }) })
        + both("a long text", [plainFrame(0x81, Array(String(repeating: "漢字 and 😀, naïve. ", count: 40).utf8))])
        + both("a length of eight bytes", [plainFrame(0x82, [UInt8](repeating: 0xA5, count: 65536)), hex("81 01 41")])
        + both("a long control frame", [plainFrame(0x89, [UInt8](repeating: 0x70, count: 125)), hex("81 01 41")])

    private static let bad = BadFrames.all.flatMap { bad in
        [Role.server, .client].map { role in
            // Something good before it, which no split may lose, and something behind it, which none may bring to light.
            let bytes = frames(["81 02 C3A4"] + bad.frames + ["81 01 41"], to: role, key: [1, 2, 3, 4])
            return Session(name: bad.testDescription, bytes: bytes, scene: bad.scene(role))
        }
    }
}

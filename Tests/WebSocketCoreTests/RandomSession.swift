// Random sessions for property tests: fragmented messages with control frames between them, ended or broken in random ways.

import TestSupport
import WebSocketCore

enum RandomSession {
    /// Places to cut, in ascending order: few, many, or all of them.
    static func cuts(of count: Int, using random: inout SeededGenerator) -> [Int] {
        let share = [2, 10, 100].randomElement(using: &random) ?? 2
        return (0...count).filter { _ in Int.random(in: 0..<share, using: &random) == 0 }
    }

    static func session(using random: inout SeededGenerator) -> Session {
        let scene = scene(using: &random)
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            for plain in message(scene, using: &random) {
                let key = (0..<4).map { _ in UInt8.random(in: .min ... .max, using: &random) }
                bytes += frame(plain, to: scene.role, key: key)
            }
        }
        // A changed byte breaks anything; a cut end leaves a frame unfinished.
        if Bool.random(using: &random), let index = bytes.indices.randomElement(using: &random) {
            bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        }
        if Int.random(in: 0..<4, using: &random) == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &random)) }
        return Session(name: "random", bytes: bytes, scene: scene)
    }

    private static func scene(using random: inout SeededGenerator) -> Scene {
        let limits = [
            Limits(), Limits(maxMessageSize: 40), Limits(maxMessageSize: 100, maxFrameSize: 30), Limits(maxFragments: 3),
        ]
        return Scene(
            role: Bool.random(using: &random) ? .server : .client, limits: limits.randomElement(using: &random) ?? Limits(),
            allowsCompression: Bool.random(using: &random), closesAfter: [nil, nil, 1, 2].randomElement(using: &random) ?? nil)
    }

    private static func message(_ scene: Scene, using random: inout SeededGenerator) -> [[UInt8]] {
        let isText = Bool.random(using: &random)
        let isCompressed = scene.allowsCompression && Bool.random(using: &random)
        let bytes = isText ? text(using: &random) : binary(using: &random)
        let pieces = bytes.cut(at: Bool.random(using: &random) ? [] : cuts(of: bytes.count, using: &random))
        var frames: [[UInt8]] = []
        for (index, piece) in pieces.enumerated() {
            let first: UInt8 = index > 0 ? 0 : (isText ? 1 : 2) | (isCompressed ? 0x40 : 0)
            frames.append(plainFrame(first | (index == pieces.count - 1 ? 0x80 : 0), Array(piece)))
            if Int.random(in: 0..<6, using: &random) == 0 { frames.append(control(using: &random)) }
        }
        return frames
    }

    private static func control(using random: inout SeededGenerator) -> [UInt8] {
        let payload = Array(binary(using: &random).prefix(125))
        switch Int.random(in: 0..<10, using: &random) {
        case 0: return plainFrame(0x88, [0x03, 0xE8] + Array("bye".utf8))
        case 1: return plainFrame(0x88, [])
        case 2...5: return plainFrame(0x8A, payload)
        default: return plainFrame(0x89, payload)
        }
    }

    private static func text(using random: inout SeededGenerator) -> [UInt8] {
        let words = ["a", "ä", "漢", "😀", "\u{10FFFF}", "plain words of ASCII"]
        return (0..<Int.random(in: 0...12, using: &random)).flatMap { _ in Array((words.randomElement(using: &random) ?? "").utf8) }
    }

    private static func binary(using random: inout SeededGenerator) -> [UInt8] {
        let count = [0, 1, 2, 30, 125, 126, 300].randomElement(using: &random) ?? 0
        return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }
}

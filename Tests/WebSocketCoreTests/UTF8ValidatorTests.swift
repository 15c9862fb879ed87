// UTF-8 as it arrives (RFC 3629 §4, RFC 6455 §8.1): every boundary value, every split, and random bytes against the
// standard library's decoder.

import TestSupport
import Testing

@testable import WebSocketCore

@Suite struct UTF8ValidatorTests {
    /// What is left of a validator after some pieces: whether it is still content, and whether the text may end here.
    private struct Outcome: Equatable {
        var isValid: Bool
        var isComplete: Bool
    }

    private func validate(_ pieces: ArraySlice<UInt8>...) -> Outcome {
        var validator = UTF8Validator()
        var isValid = true
        for piece in pieces {
            isValid = Array(piece).withUnsafeBytes { validator.validate($0) }
        }
        return Outcome(isValid: isValid, isComplete: validator.isComplete)
    }

    /// The index of the first byte that the validator refuses when it gets one byte at a time, or nil.
    private func firstRefused(_ bytes: [UInt8]) -> Int? {
        var validator = UTF8Validator()
        return bytes.indices.first { index in
            !bytes[index...index].withUnsafeBytes { validator.validate($0) }
        }
    }

    /// The plain twin: can these bytes begin a valid text, and are they one?
    private func oracle(_ bytes: [UInt8]) -> Outcome {
        if String(validating: bytes, as: UTF8.self) != nil { return Outcome(isValid: true, isComplete: true) }
        // A valid beginning can be completed by one of these; together they cover each range a continuation byte may have.
        let endings: [[UInt8]] = [[0x80], [0xBF], [0x80, 0x80], [0xBF, 0x80], [0x80, 0x80, 0x80], [0xBF, 0x80, 0x80]]
        let canGoOn = endings.contains { String(validating: bytes + $0, as: UTF8.self) != nil }
        return Outcome(isValid: canGoOn, isComplete: false)
    }

    @Test func acceptsNothing() {
        var validator = UTF8Validator()
        let isValid = validator.validate(UnsafeRawBufferPointer(start: nil, count: 0))
        #expect(isValid)
        #expect(validator.isComplete)
    }

    @Test func acceptsEveryScalarValue() {
        for value in UInt32(0)...0x10FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let bytes = Array(String(scalar).utf8)
            // Alone it ends at the buffer's end; padded, the reading by words sees it.
            if validate(bytes[...]) != Outcome(isValid: true, isComplete: true)
                || validate((bytes + [0x41, 0x41, 0x41])[...]) != Outcome(isValid: true, isComplete: true)
            {
                Issue.record("U+\(String(value, radix: 16)) was refused")
            }
        }
    }

    @Test(
        arguments: [
            ([0x80], 0), ([0xBF], 0), ([0xC0], 0), ([0xC1], 0), ([0xF5], 0), ([0xFE], 0), ([0xFF], 0),  // never a first byte
            ([0xE0, 0x9F], 1), ([0xF0, 0x8F], 1),  // overlong
            ([0xED, 0xA0], 1), ([0xED, 0xBF], 1),  // surrogates
            ([0xF4, 0x90], 1),  // U+110000
            ([0xC2, 0x41], 1), ([0xC2, 0xC2], 1), ([0xE1, 0x80, 0x41], 2), ([0xF1, 0x80, 0x80, 0xC0], 3),
            ([0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xED, 0xA0, 0x80], 6),
        ] as [([UInt8], Int)]
    )
    func failsAtTheEarliestByte(bytes: [UInt8], index: Int) {
        #expect(firstRefused(bytes) == index)
        // The same inside one piece with text around it, where the words are read.
        let text = Array("0123456789 naïve 漢字 ".utf8)
        #expect(validate((text + bytes + text)[...]).isValid == false)
    }

    /// Every lead byte with every kind of second byte, cut short and followed by more.
    @Test func agreesOnAllBeginnings() {
        let seconds: [UInt8] = [0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE1, 0xFF]
        for first in UInt8(0x80)...0xFF {
            for second in seconds {
                for tail: [UInt8] in [[], [0x41], [0x80], [0x80, 0x41], [0x80, 0x80], [0xC2, 0x80]] {
                    let bytes = [first, second] + tail
                    let outcome = validate(bytes[...])
                    if outcome != oracle(bytes) { Issue.record("\(bytes): \(outcome)") }
                }
            }
        }
    }

    @Test func acceptsEverySplit() {
        let text = Array("κόσμε ASCII in between, at length 漢字 😀\u{10FFFF}\u{D7FF}\u{E000} naïve".utf8)
        for split in 0...text.count {
            let before = validate(text[..<split])
            #expect(before == oracle(Array(text[..<split])), "split at \(split)")
            #expect(validate(text[..<split], text[split...]) == Outcome(isValid: true, isComplete: true), "split at \(split)")
        }
    }

    @Test func staysFailedUntilReset() {
        var validator = UTF8Validator()
        let good = Array("good".utf8)
        for piece in [[0xFF], good, []] {
            let isValid = piece.withUnsafeBytes { validator.validate($0) }
            #expect(!isValid && !validator.isComplete)
        }
        validator.reset()
        let isValid = good.withUnsafeBytes { validator.validate($0) }
        #expect(isValid && validator.isComplete)
    }

    @Test(arguments: [1, 2, 3, 0xC0FFEE] as [UInt64])
    func agreesOnDamagedText(seed: UInt64) {
        print("UTF8ValidatorTests.agreesOnDamagedText seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let alphabet = Array("aZ 0~é߿ࠀ漢\u{D7FF}\u{E000}\u{FFFF}\u{10000}😀\u{10FFFF}")
        for _ in 0..<2000 {
            let length = Int.random(in: 0...40, using: &random)
            var bytes = Array(String((0..<length).map { _ in alphabet.randomElement(using: &random) ?? "a" }).utf8)
            for _ in 0..<Int.random(in: 0...2, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: bytes.indices, using: &random)
                if Bool.random(using: &random) { bytes[index] = .random(in: 0...255, using: &random) } else { bytes.remove(at: index) }
            }
            let expected = oracle(bytes)
            let split = Int.random(in: 0...bytes.count, using: &random)
            #expect(validate(bytes[...]) == expected, "seed \(seed): \(bytes)")
            #expect(validate(bytes[..<split], bytes[split...]) == expected, "seed \(seed), split at \(split): \(bytes)")
        }
    }
}

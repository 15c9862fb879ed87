// The key exchange: the RFC's example, and every way for a key to be wrong (RFC 6455 §1.3, §4.2.1; bad input H8).

import TestSupport
import Testing

@testable import WebSocketCore

@Suite struct AcceptKeyTests {
    @Test func answersTheExampleOfTheRFC() {
        #expect(AcceptKey.accept(for: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test func encodesSixteenBytes() {
        #expect(AcceptKey.clientKey(random: SIMD16(repeating: 0)) == "AAAAAAAAAAAAAAAAAAAAAA==")
        #expect(AcceptKey.clientKey(random: SIMD16(repeating: 255)) == "/////////////////////w==")
        // "the sample nonce"
        let nonce: SIMD16<UInt8> = [0x74, 0x68, 0x65, 0x20, 0x73, 0x61, 0x6d, 0x70, 0x6c, 0x65, 0x20, 0x6e, 0x6f, 0x6e, 0x63, 0x65]
        #expect(AcceptKey.clientKey(random: nonce) == "dGhlIHNhbXBsZSBub25jZQ==")
    }

    @Test(arguments: [
        "", "%%%", "=", "==", "========================",
        "AAAAAAAAAAAAAAAAAAAA",  // 15 bytes
        "AAAAAAAAAAAAAAAAAAAAAAA=",  // 17 bytes
        "AAAAAAAAAAAAAAAAAAAAAAAA",  // 18 bytes
        "AAAAAAAAAAAAAAAAAAAAAA",  // no padding
        "AAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAA= ", " AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAA===",
        "AAAAAAAAAAAAAAAAAAAAAB==",  // an unused bit is set
        "AAAAAAAAAAAA=AAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAA-A==", "AAAAAAAAAAAAAAAAAAAA_A==", "AAAAAAAAAAAAAAAAAAAA\u{e9}==",
    ])
    func refuses(key: String) {
        #expect(!AcceptKey.isValid(key))
    }

    @Test(arguments: [1, 2, 3] as [UInt64]) func acceptsWhatItMakes(seed: UInt64) {
        print("AcceptKeyTests.acceptsWhatItMakes seed \(seed)")
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let key = AcceptKey.clientKey(random: SIMD16.random(in: 0...255, using: &random))
            #expect(AcceptKey.isValid(key), "seed \(seed): \(key)")
        }
    }
}

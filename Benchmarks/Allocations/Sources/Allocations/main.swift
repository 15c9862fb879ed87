// Runs the cases and fails if one of them allocates.

import CAllocationCounter
import Glibc
import WebSocketCore

/// A frame as it must look to the end that gets it.
func frame(_ first: UInt8, _ payload: [UInt8], to role: Role) -> [UInt8] {
    let opcode = Opcode(rawValue: first & 0x0F) ?? .continuation
    let key: UInt32? = role == .server ? 0x0403_0201 : nil
    let header = FrameHeader(opcode: opcode, payloadLength: payload.count, isFinal: first & 0x80 != 0, maskKey: key)
    var bytes = [UInt8](repeating: 0, count: header.encodedLength) + payload
    bytes.withUnsafeMutableBytes { bytes in
        let start = header.encode(into: bytes)
        if let key { Masking.apply(key: key, offset: 0, to: UnsafeMutableRawBufferPointer(rebasing: bytes[start...])) }
    }
    return bytes
}

func repeated(_ frames: [UInt8]) -> [UInt8] { Array(repeatElement(frames, count: Cases.messagesARound).joined()) }

func cases(_ role: Role) -> [Case] {
    let count = Cases.messagesARound
    let small = Array("twenty bytes of text".utf8)
    let large = [UInt8](repeating: 0x61, count: 16384)
    let wide = Array(String(repeating: "naïve 漢字 ", count: 40).utf8)
    let fragments = frame(0x01, small, to: role) + frame(0x89, small, to: role) + frame(0x80, small, to: role)
    return [
        Cases.receiving("text of 20 B", role: role, frames: repeated(frame(0x81, small, to: role)), messages: count),
        Cases.receiving("binary of 20 B", role: role, frames: repeated(frame(0x82, small, to: role)), messages: count),
        Cases.receiving("text of 16 KiB", role: role, frames: repeated(frame(0x81, large, to: role)), messages: count),
        Cases.receiving("binary of 16 KiB", role: role, frames: repeated(frame(0x82, large, to: role)), messages: count),
        Cases.receiving("wide text", role: role, frames: repeated(frame(0x81, wide, to: role)), messages: count),
        Cases.receiving("reads of 1,000 B", role: role, frames: repeated(frame(0x81, wide, to: role)), messages: count, readSize: 1000),
        Cases.receiving("reads of 7 B", role: role, frames: repeated(frame(0x81, small, to: role)), messages: count, readSize: 7),
        Cases.receiving("fragments and pings", role: role, frames: repeated(fragments), messages: 2 * count),
        Cases.sending("text of 20 B", role: role, .text, size: 20),
        Cases.sending("binary of 16 KiB", role: role, .binary, size: 16384),
        Cases.sendingPieces("two pieces", role: role),
    ]
}

/// The allocations of many rounds, once the first are over.
func allocations(_ one: Case, rounds: Int) -> UInt64 {
    for _ in 0..<3 { precondition(one.round() == one.messages, "\(one.name): messages are missing") }
    let before = allocation_count()
    for _ in 0..<rounds { _ = one.round() }
    return allocation_count() - before
}

let rounds = 200
let before = allocation_count()
let all = cases(.server) + cases(.client)
precondition(allocation_count() - before > UInt64(all.count), "the counter does not see what making the cases allocates")
var failures = 0
for one in all {
    let count = allocations(one, rounds: rounds)
    let perMessage = Double(count) / Double(rounds * one.messages)
    print("\(count == 0 ? "ok  " : "FAIL") \(perMessage) allocations a message: \(one.name)")
    if count > 0 { failures += 1 }
}
exit(failures == 0 ? 0 : 1)

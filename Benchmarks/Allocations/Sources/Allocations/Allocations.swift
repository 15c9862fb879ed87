// Proves that WebSocketCore allocates nothing for a message: each case runs many times through a connection while every malloc is
// counted. The first rounds are left out: a buffer that is kept may be made in them.
//
// It uses the public interface only, so it sees what a transport in another module sees.

import CAllocationCounter
import WebSocketCore

/// One way in which messages arrive or leave.
struct Case {
    let name: String
    /// How many messages a round has.
    let messages: Int
    /// Runs a round, and says how many messages went through.
    let round: () -> Int
}

enum Cases {
    static let messagesARound = 64

    /// Receives the same frames again and again, in one read or in reads of a size.
    static func receiving(_ name: String, role: Role, frames: [UInt8], messages: Int, readSize: Int = .max) -> Case {
        let read = UnsafeMutableRawBufferPointer.allocate(byteCount: frames.count, alignment: 16)
        let receiver = Receiver(role: role)
        return Case(name: "receive \(name), \(role)", messages: messages) {
            // Payloads are unmasked in place, so each round needs the bytes anew.
            read.copyBytes(from: frames)
            var received = 0
            var start = 0
            while start < read.count {
                let end = start + min(readSize, read.count - start)
                received += receiver.receive(UnsafeMutableRawBufferPointer(rebasing: read[start..<end]))
                start = end
            }
            return received
        }
    }

    /// Sends messages: the header of each encoded, the payload masked by a client.
    static func sending(_ name: String, role: Role, _ kind: MessageKind, size: Int) -> Case {
        let write = UnsafeMutableRawBufferPointer.allocate(byteCount: size + FrameHeader.maxEncodedLength, alignment: 16)
        write.initializeMemory(as: UInt8.self, repeating: 0x41)
        let sender = Sender(role: role)
        return Case(name: "send \(name), \(role)", messages: messagesARound) {
            (0..<messagesARound).reduce(0) { sent, _ in sent + sender.send(kind, size: size, into: write) }
        }
    }

    /// Sends messages in two pieces.
    static func sendingPieces(_ name: String, role: Role) -> Case {
        let write = UnsafeMutableRawBufferPointer.allocate(byteCount: FrameHeader.maxEncodedLength, alignment: 16)
        let sender = Sender(role: role)
        return Case(name: "send \(name), \(role)", messages: messagesARound) {
            (0..<messagesARound).reduce(0) { sent, _ in sent + sender.sendPieces(.text, size: 20, into: write) }
        }
    }
}

final class Receiver {
    private var connection: Connection

    init(role: Role) { connection = Connection(role: role) }

    func receive(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        var messages = 0
        var offset = 0
        do throws(ProtocolError) {
            while let event = try connection.receive(bytes, at: &offset) {
                switch event {
                case .message: messages += 1
                case .piece(_, _, _, let isLast): messages += isLast ? 1 : 0
                case .ping, .pong: messages += 1
                case .close: break
                }
            }
        } catch {
            fatalError("the frames of a case are broken: \(error)")
        }
        return messages
    }
}

final class Sender {
    private var connection: Connection
    private let maskKey: UInt32?

    init(role: Role) {
        connection = Connection(role: role)
        maskKey = role == .client ? 0x0102_0304 : nil
    }

    func send(_ kind: MessageKind, size: Int, into bytes: UnsafeMutableRawBufferPointer) -> Int {
        guard let header = try? connection.send(kind, length: size, maskKey: maskKey) else { return 0 }
        let start = header.encode(into: bytes)
        if let maskKey {
            Masking.apply(key: maskKey, offset: 0, to: UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + size]))
        }
        return 1
    }

    func sendPieces(_ kind: MessageKind, size: Int, into bytes: UnsafeMutableRawBufferPointer) -> Int {
        do throws(UsageError) {
            try connection.beginMessage(kind)
            try connection.sendPiece(length: size / 2, isLast: false, maskKey: maskKey).encode(into: bytes)
            try connection.sendPiece(length: size / 2, isLast: true, maskKey: maskKey).encode(into: bytes)
            return 1
        } catch {
            return 0
        }
    }
}

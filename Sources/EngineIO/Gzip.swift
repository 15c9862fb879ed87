// Compressed answers: RFC 1952, over the system's zlib; who takes them, RFC 9110 §12.5.3.

import CDuplexZlib
import HTTPTypes
import NIOCore

enum Gzip {
    /// 32 KiB of window, in a gzip wrapper.
    private static let windowBits: Int32 = 15 + 16
    /// The fastest: most of the gain, at a third of the time that the default level takes on the connection's thread.
    private static let level: Int32 = 1

    /// The bytes compressed; nil if they would not be shorter, or there is no memory for it.
    static func compress(_ bytes: ByteBuffer) -> ByteBuffer? {
        guard bytes.readableBytes <= Int(Int32.max) else { return nil }
        var stream = z_stream()
        guard duplex_deflate_init(&stream, level, windowBits, 8, Z_DEFAULT_STRATEGY) == Z_OK else { return nil }
        defer { deflateEnd(&stream) }
        // What does not fit is not shorter.
        var output = ByteBufferAllocator().buffer(capacity: bytes.readableBytes)
        var isWhole = false
        output.writeWithUnsafeMutableBytes(minimumWritableBytes: bytes.readableBytes) { room in
            bytes.withUnsafeReadableBytes { input in
                stream.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
                stream.avail_in = UInt32(input.count)
                stream.next_out = room.bindMemory(to: UInt8.self).baseAddress
                stream.avail_out = UInt32(input.count)
                isWhole = deflate(&stream, Z_FINISH) == Z_STREAM_END
                return input.count - Int(stream.avail_out)
            }
        }
        return isWhole ? output : nil
    }

    /// Whether the client takes gzip: it names it or `*`, and not with a weight of 0.
    static func isAccepted(by fields: HTTPFields) -> Bool {
        var isAnyAccepted = false
        for element in fields[values: .acceptEncoding].flatMap({ $0.split(separator: ",") }) {
            let parts = element.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            let isRefused = parts.dropFirst().contains { $0.hasPrefix("q=") && Double($0.dropFirst(2)) ?? 0 == 0 }
            switch parts.first {
            case "gzip", "x-gzip": return !isRefused
            case "*": isAnyAccepted = !isRefused
            default: break
            }
        }
        return isAnyAccepted
    }
}

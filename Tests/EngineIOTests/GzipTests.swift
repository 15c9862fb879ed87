// Compressed answers: Gzip.swift.

import CDuplexZlib
import HTTPTypes
import NIOCore
import Testing
import WebSocketCore
import WebSockets

@testable import EngineIO

@Suite(.serialized, .timeLimit(.minutes(1))) struct GzipTests {
    private static func inflated(_ bytes: [UInt8]) -> [UInt8]? {
        var stream = z_stream()
        guard duplex_inflate_init(&stream, 15 + 16) == Z_OK else { return nil }
        defer { inflateEnd(&stream) }
        var (input, output) = (bytes, [UInt8](repeating: 0, count: 1 << 20))
        return input.withUnsafeMutableBufferPointer { input in
            output.withUnsafeMutableBufferPointer { output in
                stream.next_in = input.baseAddress
                stream.avail_in = UInt32(input.count)
                stream.next_out = output.baseAddress
                stream.avail_out = UInt32(output.count)
                guard inflate(&stream, Z_FINISH) == Z_STREAM_END, stream.avail_in == 0 else { return nil }
                return Array(output.prefix(output.count - Int(stream.avail_out)))
            }
        }
    }

    @Test func whatIsCompressedComesBack() throws {
        let bytes = Array(String(repeating: "4hello\u{1E}", count: 1000).utf8)
        let compressed = try #require(Gzip.compress(ByteBuffer(bytes: bytes)))
        #expect(compressed.readableBytes < 200)
        #expect(Self.inflated(Array(compressed.readableBytesView)) == bytes)
    }

    @Test func whatWouldBeLongerIsLeft() {
        #expect(Gzip.compress(ByteBuffer(bytes: (0..<100).map { _ in UInt8.random(in: 0...255) })) == nil)
        #expect(Gzip.compress(ByteBuffer()) == nil)
    }

    @Test(arguments: [
        ("gzip", true), ("deflate, gzip;q=1.0", true), ("GZIP", true), ("x-gzip", true), ("*", true), ("br, *;q=0.1", true),
        ("gzip;q=0", false),
        ("gzip; q=0.000, *", false), ("*;q=0", false), ("identity", false), ("", false), ("deflate", false), ("gzip;q=no", false),
    ])
    func onlyWhoTakesItGetsIt(field: String, isAccepted: Bool) {
        #expect(Gzip.isAccepted(by: [.acceptEncoding: field]) == isAccepted)
        #expect(!Gzip.isAccepted(by: [:]))
    }

    private static let long = String(repeating: "hello ", count: 200)

    @Test func aLongAnswerIsCompressed() async throws {
        try await withEngine({ _ in }) { bench in
            let sid = try await bench.open()
            let session = try bench.session
            session.send(.text(Self.long))
            let client = try await RawClient.connect(port: bench.port)
            let request = HTTPAnswer.request(
                "GET", bench.query("&transport=polling&sid=\(sid)"), fields: "Accept-Encoding: gzip, deflate\r\n")
            try await client.send(request)
            let head = try await client.readHead()
            #expect(field("Content-Encoding", in: head) == "gzip")
            let body = await client.read(field("Content-Length", in: head).flatMap { Int($0) } ?? 0)
            #expect(Self.inflated(body) == Array(("4" + Self.long).utf8))
            for message in [Message.text("short"), Message.text(Self.long).compressed(.never)] {
                session.send(message)
                try await client.send(request)
                let (head, body) = try await client.readResponse()
                #expect(field("Content-Encoding", in: head) == nil)
                #expect(body == "4" + (message.text ?? ""))
            }
            await client.close()
            session.send(.text(Self.long))
            #expect(try await bench.poll(sid).field("Content-Encoding") == nil)
        }
    }

    @Test func itCanBeTurnedOff() async throws {
        try await withEngine {
            $0.compressionThreshold = nil
        } _: { bench in
            let sid = try await bench.open()
            try bench.session.send(.text(Self.long))
            #expect(try await bench.poll(sid, fields: "Accept-Encoding: gzip\r\n").field("Content-Encoding") == nil)
        }
    }
}

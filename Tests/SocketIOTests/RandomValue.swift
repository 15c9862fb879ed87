// Random values, texts and packets for the property tests.

import NIOCore
import SocketIO
import TestSupport

enum RandomValue {
    static func make(_ generator: inout SeededGenerator, depth: Int = 4, allowsBinary: Bool = true) -> SocketIOValue {
        switch Int.random(in: 0..<(depth > 0 ? 9 : 7), using: &generator) {
        case 0: .null
        case 1: .bool(.random(using: &generator))
        case 2: .int(Int.random(in: -200...200, using: &generator))
        case 3: .int(Int(bitPattern: UInt.random(in: 0...UInt.max, using: &generator) >> UInt.random(in: 0..<64, using: &generator)))
        case 4: .double(double(&generator))
        case 5: .string(text(&generator))
        case 6: allowsBinary && .random(using: &generator) ? .binary(bytes(&generator)) : .string(text(&generator))
        case 7: .array(array(&generator, depth: depth - 1, allowsBinary: allowsBinary))
        default: .object(object(&generator, depth: depth - 1, allowsBinary: allowsBinary))
        }
    }

    static func array(_ generator: inout SeededGenerator, depth: Int, allowsBinary: Bool = true) -> [SocketIOValue] {
        (0..<Int.random(in: 0...5, using: &generator)).map { _ in make(&generator, depth: depth, allowsBinary: allowsBinary) }
    }

    private static func object(_ generator: inout SeededGenerator, depth: Int, allowsBinary: Bool) -> SocketIOObject {
        var object = SocketIOObject()
        let count = Int.random(in: 0..<20, using: &generator) == 0 ? 40 : Int.random(in: 0...5, using: &generator)
        for _ in 0..<count { object[text(&generator)] = make(&generator, depth: depth, allowsBinary: allowsBinary) }
        return object
    }

    /// A finite number that is not whole: a whole one would be read as an `int`.
    static func double(_ generator: inout SeededGenerator) -> Double {
        while true {
            let number =
                Bool.random(using: &generator)
                ? Double(bitPattern: UInt64.random(in: 0...UInt64.max, using: &generator))
                : (Double.random(in: -1e6...1e6, using: &generator) * 100).rounded() / 100
            if number.isFinite && Int(exactly: number) == nil { return number }
        }
    }

    static func text(_ generator: inout SeededGenerator) -> String {
        let pieces = [
            "a", "Z", "0", " ", "\"", "\\", "/", "\n", "\r", "\t", "\u{8}", "\u{c}", "\u{0}", "\u{1f}", "\u{7f}", "é", "漢", "🙂", "\u{2028}",
            "{", "]", ":", ",",
        ]
        return (0..<Int.random(in: 0...40, using: &generator)).map { _ in
            Int.random(in: 0..<4, using: &generator) == 0 ? pieces.randomElement(using: &generator) ?? "" : "x"
        }.joined()
    }

    static func bytes(_ generator: inout SeededGenerator) -> ByteBuffer {
        ByteBuffer(bytes: (0..<Int.random(in: 0...300, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
}

enum RandomPacket {
    static func make(_ generator: inout SeededGenerator) -> SocketIOPacket {
        let namespace = ["/", "/admin", "/a/b?c=d", "/é"].randomElement(using: &generator) ?? "/"
        let id = [0, 7, 12345, SocketIOPacket.maxID].randomElement(using: &generator) ?? 0
        let values = RandomValue.array(&generator, depth: 3)
        let content: SocketIOPacket.Content =
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: .connect(nil)
            case 1: .connect(["token": RandomValue.make(&generator, depth: 2, allowsBinary: false)])
            case 2: .disconnect
            case 3: .connectError(["message": .string(RandomValue.text(&generator))])
            case 4: .ack(values, id: id)
            case 5: .event([.int(id)] + values, id: nil)
            default: .event([.string("\(RandomValue.text(&generator))!")] + values, id: .random(using: &generator) ? id : nil)
            }
        return SocketIOPacket(namespace: namespace, content: content)
    }
}

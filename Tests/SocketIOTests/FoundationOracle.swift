// Foundation's JSONSerialization, which ours is compared with.

import Foundation
import NIOCore

@testable import SocketIO

/// Values as Foundation's JSONSerialization has them.
enum Oracle {
    static func object(_ value: SocketIOValue) -> Any {
        switch value {
        case .null, .binary: NSNull()
        case .bool(let value): value
        case .int(let value): value
        case .double(let value): value
        case .string(let value): value
        case .array(let elements): elements.map(object)
        case .object(let members): Dictionary(members.map { ($0.key, object($0.value)) }, uniquingKeysWith: { $1 })
        }
    }

    /// Foundation keeps no order.
    static func isSame(_ left: SocketIOValue, _ right: SocketIOValue) -> Bool {
        switch (left, right) {
        case (.array(let left), .array(let right)): left.count == right.count && zip(left, right).allSatisfy(isSame)
        case (.object(let left), .object(let right)):
            left.count == right.count && left.allSatisfy { name, value in right[name].map { isSame(value, $0) } ?? false }
        default: left == right
        }
    }

    static func isSame(_ value: SocketIOValue, _ object: Any) -> Bool {
        switch value {
        case .null: object is NSNull
        case .bool(let value): (object as? Bool) == value
        case .int(let value): (object as? NSNumber)?.int64Value == Int64(value)
        case .double(let value): (object as? NSNumber).map { isNear($0.doubleValue, value) } ?? false
        case .string(let value): (object as? String) == value
        case .array(let elements):
            (object as? [Any]).map { $0.count == elements.count && zip(elements, $0).allSatisfy { isSame($0, $1) } } ?? false
        case .object(let members):
            (object as? [String: Any]).map { other in
                members.count == other.count && members.allSatisfy { name, value in other[name].map { isSame(value, $0) } ?? false }
            } ?? false
        case .binary: false
        }
    }

    /// Foundation's numbers are off by the last bits where the exponent is large; JSONNumberTests looks at ours.
    private static func isNear(_ left: Double, _ right: Double) -> Bool { left == right || abs(left / right - 1) < 1e-12 }

    /// Where Foundation decides otherwise: names that come again, halves of characters, and numbers it finds too large.
    static func differsKnowingly(_ bytes: [UInt8]) -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        return text.contains("\\u") || text.contains("\u{0}") || text.contains(/[eE]\+?[0-9]{3,}/) || hasSameName(bytes)
    }

    private static func hasSameName(_ bytes: [UInt8]) -> Bool {
        guard let value = try? bytes.withUnsafeBytes({ try JSONReader.read($0, maxDepth: 512) }) else { return false }
        let written = JSONWriter.write { $0.write(value) }.text.readableBytes
        // Without the same name twice, our own writing is as long as what was written before, but for numbers and spaces.
        return written + 2 < bytes.count
    }
}

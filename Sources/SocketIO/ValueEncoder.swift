// Swift's types to values.
//
// Strings, numbers, truth values, bytes and values themselves, which are what most arguments are, go around `Codable`; so they do inside of
// types, and there bytes must, since `Data` would encode itself as a list of numbers.

import NIOCore

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Encodes Swift's types to values.
///
/// - `Data` and `ByteBuffer` become binary values, wherever they stand.
/// - `Date` becomes text as JavaScript writes it: `2000-06-13T00:00:00.000Z`.
/// - `URL` becomes its text; so does `Decimal`, as a JavaScript number does not hold 38 digits.
/// - `Float` becomes the number with its shortest digits: 0.1 stays 0.1.
/// - Members that are nil are left out, as JavaScript leaves out what is undefined; nil elsewhere becomes null.
public struct ValueEncoder: Sendable {
    /// Makes an encoder.
    public init() {}

    /// Encodes a value of Swift.
    ///
    /// - Throws: `SocketIOArgumentError` if a number does not fit 64 bits with a sign, or if a type refuses to be encoded.
    @inline(__always)
    public func encode<T: Encodable>(_ value: T) throws(SocketIOArgumentError) -> SocketIOValue {
        if let direct = Self.direct(value) { return direct }
        do {
            return try Self.encode(value, at: .root)
        } catch {
            throw SocketIOArgumentError(error)
        }
    }

    /// Encodes what needs no `Codable`; nil for other types.
    ///
    /// A type is compared, not cast: `as?` asks the runtime, which takes longer than all the rest of an event. Where the types are the
    /// same, the bits are, so that `unsafeBitCast` changes nothing.
    @inline(__always)
    static func direct<T: Encodable>(_ value: T) -> SocketIOValue? {
        if T.self == String.self { return .string(unsafeBitCast(value, to: String.self)) }
        if T.self == Int.self { return .int(unsafeBitCast(value, to: Int.self)) }
        if T.self == SocketIOValue.self { return unsafeBitCast(value, to: SocketIOValue.self) }
        if T.self == Bool.self { return .bool(unsafeBitCast(value, to: Bool.self)) }
        if T.self == Double.self { return .double(unsafeBitCast(value, to: Double.self)) }
        if T.self == ByteBuffer.self { return .binary(unsafeBitCast(value, to: ByteBuffer.self)) }
        return rare(value)
    }

    private static func rare<T: Encodable>(_ value: T) -> SocketIOValue? {
        if T.self == [SocketIOValue].self { return .array(unsafeBitCast(value, to: [SocketIOValue].self)) }
        if T.self == SocketIOObject.self { return .object(unsafeBitCast(value, to: SocketIOObject.self)) }
        if T.self == Data.self { return .binary(ByteBuffer(bytes: unsafeBitCast(value, to: Data.self))) }
        if T.self == [String].self { return .array(unsafeBitCast(value, to: [String].self).map { .string($0) }) }
        if T.self == [Int].self { return .array(unsafeBitCast(value, to: [Int].self).map { .int($0) }) }
        if T.self == String?.self { return unsafeBitCast(value, to: String?.self).map { .string($0) } ?? .null }
        if T.self == Int?.self { return unsafeBitCast(value, to: Int?.self).map { .int($0) } ?? .null }
        if T.self == Bool?.self { return unsafeBitCast(value, to: Bool?.self).map { .bool($0) } ?? .null }
        if T.self == Double?.self { return unsafeBitCast(value, to: Double?.self).map { .double($0) } ?? .null }
        if T.self == SocketIOValue?.self { return unsafeBitCast(value, to: SocketIOValue?.self) ?? .null }
        if T.self == ByteBuffer?.self { return unsafeBitCast(value, to: ByteBuffer?.self).map { .binary($0) } ?? .null }
        if T.self == Data?.self { return unsafeBitCast(value, to: Data?.self).map { .binary(ByteBuffer(bytes: $0)) } ?? .null }
        if T.self == Date.self { return .string(JavaScriptDate.text(of: unsafeBitCast(value, to: Date.self))) }
        if T.self == URL.self { return .string(unsafeBitCast(value, to: URL.self).absoluteString) }
        if T.self == Decimal.self { return .string(unsafeBitCast(value, to: Decimal.self).description) }
        if T.self == Float.self { return Self.number(unsafeBitCast(value, to: Float.self)) }
        return nil
    }

    static func number(_ value: Float) -> SocketIOValue { .double(Double(value.description) ?? Double(value)) }

    /// Encodes any type.
    static func encode<T: Encodable>(_ value: T, at path: CodingPath) throws -> SocketIOValue {
        if let direct = direct(value) { return direct }
        let node = EncodingNode()
        try value.encode(to: NodeEncoder(node: node, path: path))
        return node.value
    }

    /// Encodes a whole number.
    static func encode(integer value: some BinaryInteger, at path: @autoclosure () -> CodingPath) throws -> SocketIOValue {
        if let number = Int(exactly: value) { return .int(number) }
        let context = EncodingError.Context(
            codingPath: path().keys, debugDescription: "\(value) does not fit 64 bits with a sign: send it as text")
        throw EncodingError.invalidValue(value, context)
    }
}

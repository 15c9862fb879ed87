// Values to Swift's types. What most arguments are goes around `Codable`; see ValueEncoder.swift.
//
// JavaScript has one kind of number, so a number is taken for what it is worth: 3.0 is the `Int` 3, and 300 is no `UInt8`. Nothing else is
// converted: "3" is no number, 1 is no `Bool`.

import NIOCore

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Decodes values to Swift's types.
///
/// - `Data` and `ByteBuffer` are decoded from binary values, wherever they stand.
/// - `Date` is decoded from text as JavaScript writes it, and from milliseconds since 1970, as `Date.now()` gives them.
/// - `Decimal` is decoded from text, and from a number by its shortest digits; `URL` from its text.
public struct ValueDecoder: Sendable {
    /// Makes a decoder.
    public init() {}

    /// Decodes a value.
    ///
    /// - Throws: `SocketIOArgumentError` with the way to what does not fit, what was expected there and what was found.
    @inline(__always)
    public func decode<T: Decodable>(_ type: T.Type = T.self, from value: SocketIOValue) throws(SocketIOArgumentError) -> T {
        if let direct: T = Self.direct(value) { return direct }
        do {
            return try Self.decode(type, from: value, at: .root)
        } catch {
            throw SocketIOArgumentError(error)
        }
    }

    /// Decodes what needs no `Codable` and fits; nil otherwise. Why types are compared and bits cast is said at `ValueEncoder.direct`.
    @inline(__always)
    static func direct<T: Decodable>(_ value: SocketIOValue) -> T? {
        if T.self == SocketIOValue.self { return unsafeBitCast(value, to: T.self) }
        switch value {
        case .string(let text): if T.self == String.self { return unsafeBitCast(text, to: T.self) }
        case .int(let number):
            if T.self == Int.self { return unsafeBitCast(number, to: T.self) }
            if T.self == Double.self { return unsafeBitCast(Double(number), to: T.self) }
        case .double(let number): if T.self == Double.self { return unsafeBitCast(number, to: T.self) }
        case .bool(let isTrue): if T.self == Bool.self { return unsafeBitCast(isTrue, to: T.self) }
        case .binary(let bytes): if T.self == ByteBuffer.self { return unsafeBitCast(bytes, to: T.self) }
        case .array(let elements): if T.self == [SocketIOValue].self { return unsafeBitCast(elements, to: T.self) }
        case .object(let members): if T.self == SocketIOObject.self { return unsafeBitCast(members, to: T.self) }
        case .null: break
        }
        return nil
    }

    /// Decodes any type.
    static func decode<T: Decodable>(_ type: T.Type, from value: SocketIOValue, at path: CodingPath) throws -> T {
        if let direct: T = direct(value) { return direct }
        if let special = try special(type, from: value, at: path) { return special }
        return try type.init(from: NodeDecoder(value: value, path: path))
    }

    /// Decodes the types whose own `Codable` would do it otherwise, or worse; nil for others.
    private static func special<T: Decodable>(_ type: T.Type, from value: SocketIOValue, at path: CodingPath) throws -> T? {
        if type == Data.self { return unsafeBitCast(Data(try bytes(value, path, "Data").readableBytesView), to: T.self) }
        if type == ByteBuffer.self { return unsafeBitCast(try bytes(value, path, "ByteBuffer"), to: T.self) }
        if type == Date.self { return unsafeBitCast(try date(value, path), to: T.self) }
        if type == URL.self { return unsafeBitCast(try url(value, path), to: T.self) }
        if type == Decimal.self { return unsafeBitCast(try decimal(value, path), to: T.self) }
        return nil
    }

    private static func bytes(_ value: SocketIOValue, _ path: CodingPath, _ type: String) throws -> ByteBuffer {
        guard case .binary(let bytes) = value else { throw mismatch(ByteBuffer.self, type, value, path) }
        return bytes
    }

    private static func date(_ value: SocketIOValue, _ path: CodingPath) throws -> Date {
        if let milliseconds = value.double, milliseconds.isFinite { return Date(timeIntervalSince1970: milliseconds / 1000) }
        guard case .string(let text) = value else { throw mismatch(Date.self, "a date", value, path) }
        guard let date = JavaScriptDate.date(of: text) else {
            throw corrupted("expected a date like 2000-06-13T00:00:00.000Z, found other text", path)
        }
        return date
    }

    private static func url(_ value: SocketIOValue, _ path: CodingPath) throws -> URL {
        guard case .string(let text) = value else { throw mismatch(URL.self, "URL", value, path) }
        guard let url = URL(string: text) else { throw corrupted("expected a URL, found other text", path) }
        return url
    }

    private static func decimal(_ value: SocketIOValue, _ path: CodingPath) throws -> Decimal {
        let text: String
        switch value {
        case .int(let number): return Decimal(number)
        case .double(let number): text = number.description
        case .string(let string): text = string
        default: throw mismatch(Decimal.self, "Decimal", value, path)
        }
        guard let decimal = Decimal(string: text) else { throw corrupted("expected a decimal number, found other text", path) }
        return decimal
    }

    // MARK: Errors

    static func mismatch(_ type: any Any.Type, _ expected: String, _ found: SocketIOValue, _ path: CodingPath) -> DecodingError {
        let context = DecodingError.Context(codingPath: path.keys, debugDescription: "expected \(expected), found \(found.kindName)")
        return found.isNull ? .valueNotFound(type, context) : .typeMismatch(type, context)
    }

    static func corrupted(_ reason: String, _ path: CodingPath) -> DecodingError {
        .dataCorrupted(.init(codingPath: path.keys, debugDescription: reason))
    }

    // MARK: Scalars

    static func bool(_ value: SocketIOValue, _ path: CodingPath) throws -> Bool {
        guard case .bool(let isTrue) = value else { throw mismatch(Bool.self, "Bool", value, path) }
        return isTrue
    }

    static func string(_ value: SocketIOValue, _ path: CodingPath) throws -> String {
        guard case .string(let text) = value else { throw mismatch(String.self, "String", value, path) }
        return text
    }

    static func floatingPoint<T: BinaryFloatingPoint>(_ value: SocketIOValue, _ path: CodingPath) throws -> T {
        guard let number = value.double else { throw mismatch(T.self, "\(T.self)", value, path) }
        return T(number)
    }

    static func integer<T: FixedWidthInteger>(_ value: SocketIOValue, _ path: CodingPath) throws -> T {
        let found: T?
        switch value {
        case .int(let number): found = T(exactly: number)
        case .double(let number): found = T(exactly: number)
        default: throw mismatch(T.self, "\(T.self)", value, path)
        }
        guard let found else { throw corrupted("expected \(T.self), found \(value.double ?? 0)", path) }
        return found
    }
}

// What an event carries: the values of JavaScript that JSON knows, and bytes (Socket.IO protocol 5, "Sending and receiving data").
//
// 24 bytes each, the size that a `ByteBuffer` has anyway, so that nothing but arrays, objects and texts over 15 bytes lies in memory of its
// own.

public import NIOCore

/// An argument of an event or an acknowledgement, or a part of one.
///
/// ```swift
/// let user: SocketIOValue = ["name": "Ada", "tags": ["x", "y"], "age": 36]
/// user["name"]?.string        // "Ada"
/// user["tags"]?[1]?.string    // "y"
/// ```
///
/// Values are equal when they are of one kind and hold the same: `1` and `1.0` differ, and so do objects whose members stand in another
/// order.
public enum SocketIOValue: Sendable, Hashable {
    /// `null`, and what JavaScript's `undefined` becomes.
    case null
    /// `true` or `false`.
    case bool(Bool)
    /// A whole number that was written without fraction and exponent, within 64 bits.
    ///
    /// JavaScript holds whole numbers exactly up to 2⁵³ − 1; send larger ones as text.
    case int(Int)
    /// Any other number.
    case double(Double)
    /// Text.
    case string(String)
    /// Bytes; they travel beside the packet's text, as an attachment.
    case binary(ByteBuffer)
    /// Values in order.
    case array([SocketIOValue])
    /// Values by name.
    case object(SocketIOObject)
}

// MARK: What is inside

extension SocketIOValue {
    /// Whether this is `null`.
    public var isNull: Bool { self == .null }

    /// The truth value, or nil if this is something else.
    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The number if it is whole and within 64 bits, however it was written: 3.0 is 3.
    public var int: Int? {
        switch self {
        case .int(let value): value
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The number, or nil if this is something else; a whole number beyond 2⁵³ is rounded.
    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// The text, or nil if this is something else.
    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }

    /// The bytes, or nil if this is something else.
    public var binary: ByteBuffer? {
        if case .binary(let value) = self { value } else { nil }
    }

    /// The elements, or nil if this is something else.
    public var array: [SocketIOValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    /// The members, or nil if this is something else.
    public var object: SocketIOObject? {
        if case .object(let value) = self { value } else { nil }
    }

    /// The member of this name; nil where there is none, and where this is no object.
    public subscript(name: String) -> SocketIOValue? { object?[name] }

    /// The element at this index; nil beyond the array's ends, and where this is no array.
    public subscript(index: Int) -> SocketIOValue? {
        guard case .array(let elements) = self, elements.indices.contains(index) else { return nil }
        return elements[index]
    }

    /// The kind in words, for messages: `a string`.
    var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .int, .double: "a number"
        case .string: "a string"
        case .binary: "binary data"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

extension SocketIOValue {
    /// The memory that it takes, roughly.
    package var roughSize: Int {
        switch self {
        case .null, .bool, .int, .double: 24
        case .string(let text): 40 + text.utf8.count
        case .binary(let bytes): 64 + bytes.readableBytes
        case .array(let values): values.reduce(56) { $0 + $1.roughSize }
        case .object(let object): object.reduce(56) { $0 + 40 + $1.key.utf8.count + $1.value.roughSize }
        }
    }
}

// MARK: Literals

extension SocketIOValue: ExpressibleByNilLiteral {
    /// Makes `null`.
    public init(nilLiteral: ()) { self = .null }
}

extension SocketIOValue: ExpressibleByBooleanLiteral {
    /// Makes a truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
}

extension SocketIOValue: ExpressibleByIntegerLiteral {
    /// Makes a whole number.
    public init(integerLiteral value: Int) { self = .int(value) }
}

extension SocketIOValue: ExpressibleByFloatLiteral {
    /// Makes a number.
    public init(floatLiteral value: Double) { self = .double(value) }
}

extension SocketIOValue: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
    /// Makes a text.
    public init(stringLiteral value: String) { self = .string(value) }
}

extension SocketIOValue: ExpressibleByArrayLiteral {
    /// Makes an array.
    public init(arrayLiteral elements: SocketIOValue...) { self = .array(elements) }
}

extension SocketIOValue: ExpressibleByDictionaryLiteral {
    /// Makes an object; of members with the same name the last one counts.
    public init(dictionaryLiteral members: (String, SocketIOValue)...) {
        self = .object(SocketIOObject(members.lazy.map { (key: $0.0, value: $0.1) }))
    }
}

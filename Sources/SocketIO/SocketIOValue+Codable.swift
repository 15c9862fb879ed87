// Values inside of types that other coders encode and decode; `ValueEncoder` and `ValueDecoder` take them as they are.

import NIOCore

extension SocketIOValue: Codable {
    /// Decodes whatever there is.
    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: ValueKey.self) {
            self = .object(try SocketIOObject(container))
        } else if var container = try? decoder.unkeyedContainer() {
            var elements: [SocketIOValue] = []
            while !container.isAtEnd { elements.append(try container.decode(SocketIOValue.self)) }
            self = .array(elements)
        } else {
            self = try Self(decoder.singleValueContainer())
        }
    }

    private init(_ container: any SingleValueDecodingContainer) throws {
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .int(value)
        } else if let value = try? container.decode(Double.self) {
            self = .double(value)
        } else {
            self = .string(try container.decode(String.self))
        }
    }

    /// Encodes the value; bytes as `ByteBuffer` does.
    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .object(let members): try members.encode(to: encoder)
        case .array(let elements): try elements.encode(to: encoder)
        case .binary(let bytes): try bytes.encode(to: encoder)
        case .null:
            var container = encoder.singleValueContainer()
            try container.encodeNil()
        case .bool(let value): try value.encode(to: encoder)
        case .int(let value): try value.encode(to: encoder)
        case .double(let value): try value.encode(to: encoder)
        case .string(let value): try value.encode(to: encoder)
        }
    }
}

extension SocketIOObject: Codable {
    /// Decodes an object.
    public init(from decoder: any Decoder) throws { try self.init(try decoder.container(keyedBy: ValueKey.self)) }

    fileprivate init(_ container: KeyedDecodingContainer<ValueKey>) throws {
        self.init()
        for key in container.allKeys { set(key.stringValue, try container.decode(SocketIOValue.self, forKey: key)) }
    }

    /// Encodes the members.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: ValueKey.self)
        for (name, value) in self { try container.encode(value, forKey: ValueKey(stringValue: name)) }
    }
}

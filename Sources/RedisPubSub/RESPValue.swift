// What Redis says: the kinds of RESP2 and RESP3 (redis.io, "Redis serialization protocol specification").

package import NIOCore

/// A value of Redis's protocol.
package enum RESPValue: Sendable, Hashable {
    /// A short text: `+OK`.
    case simple(String)
    /// An error: `-ERR unknown command`, its code first.
    case error(String)
    /// A whole number.
    case integer(Int)
    /// Bytes; a verbatim string of RESP3 with its kind and colon in front.
    case bulk(ByteBuffer)
    /// Nothing; RESP2's null bulk and null array are the same.
    case null
    /// A truth value.
    case boolean(Bool)
    /// A number with a fraction.
    case double(Double)
    /// A whole number of any size, as its digits.
    case bigNumber(String)
    /// Values in order; a set of RESP3 as well.
    case array([RESPValue])
    /// Names and values in turn, as they came.
    case map([RESPValue])
    /// What was not asked for: messages of channels.
    case push([RESPValue])

    /// The text of a string of any kind, if it is UTF-8.
    package var text: String? {
        switch self {
        case .simple(let text): text
        case .bulk(let bytes): String(validating: bytes.readableBytesView, as: UTF8.self)
        default: nil
        }
    }

    /// The values of an array.
    package var values: [RESPValue]? { if case .array(let values) = self { values } else { nil } }
}

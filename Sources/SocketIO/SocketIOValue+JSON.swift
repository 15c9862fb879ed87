// Values as JSON text, for those who read or type them: what is sent is written without this step in between.

import NIOCore

extension SocketIOValue {
    /// Reads JSON; members keep their order.
    ///
    /// - Throws: `SocketIOParseError` that says what is wrong, and at which byte.
    public init(json text: some StringProtocol) throws(SocketIOParseError) {
        let bytes = ByteBuffer(substring: Substring(text))
        do throws(JSONError) {
            self = try bytes.withUnsafeReadableBytes { (bytes) throws(JSONError) in
                try JSONReader.read(bytes, maxDepth: SocketIOParserLimits.deepest / 2)
            }
        } catch {
            throw SocketIOParseError(error.reason == .tooDeep ? .tooDeep : .invalidJSON, at: error.offset, error.reason.rawValue)
        }
    }

    /// The value as JSON; bytes as the text `<3 bytes: 00ff01>`, as JSON has none.
    public var json: String {
        let (text, _) = JSONWriter.write { $0.write(shown) }
        return String(buffer: text)
    }

    private var shown: SocketIOValue {
        switch self {
        case .binary(let bytes): .string(Self.shown(bytes))
        case .array(let values): .array(values.map(\.shown))
        case .object(let object): .object(SocketIOObject(object.lazy.map { (key: $0.key, value: $0.value.shown) }))
        default: self
        }
    }

    private static func shown(_ bytes: ByteBuffer) -> String {
        let hex = bytes.readableBytesView.prefix(32).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        return "<\(bytes.readableBytes) bytes: \(hex)\(bytes.readableBytes > 32 ? "…" : "")>"
    }
}

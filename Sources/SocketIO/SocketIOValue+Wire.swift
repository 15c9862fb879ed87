// Values as the nodes of a cluster send them to each other: JSON where there are no bytes, MessagePack anywhere.

package import NIOCore

extension SocketIOValue {
    /// Reads JSON.
    ///
    /// - Throws: `SocketIOParseError` that says what is wrong, and at which byte.
    package init(jsonBytes bytes: ByteBuffer) throws(SocketIOParseError) {
        do throws(JSONError) {
            self = try bytes.withUnsafeReadableBytes { (bytes) throws(JSONError) in
                try JSONReader.read(bytes, maxDepth: SocketIOParserLimits.deepest)
            }
        } catch {
            throw SocketIOParseError(error.reason == .tooDeep ? .tooDeep : .invalidJSON, at: error.offset, error.reason.rawValue)
        }
    }

    /// Reads MessagePack.
    ///
    /// - Throws: `SocketIOParseError` that says what is wrong, and at which byte.
    package init(messagePack bytes: ByteBuffer) throws(SocketIOParseError) {
        do throws(MessagePackError) {
            self = try MessagePackReader.read(bytes, maxDepth: SocketIOParserLimits.deepest)
        } catch {
            throw SocketIOParseError(error.reason == .tooDeep ? .tooDeep : .invalidMessagePack, at: error.offset, error.reason.rawValue)
        }
    }

    /// The value as MessagePack.
    package var messagePack: ByteBuffer {
        var writer = MessagePackWriter(ByteBuffer())
        writer.write(self)
        return writer.buffer
    }

    /// The value as JSON; nil if there are bytes in it, which JSON has no place for.
    package var jsonBytes: ByteBuffer? {
        let (text, attachments) = JSONWriter.write { $0.write(self) }
        return attachments.isEmpty ? text : nil
    }
}

// What is typed to a Socket.IO server, and how what comes from it is shown: an event's name, then its arguments as JSON with commas between.
//
//     add 1, 2
//     "chat message" {"text": "hello"}

import NIOCore
import SocketIO

/// An event as it is typed.
struct SocketIOLine: Equatable {
    let event: String
    let arguments: [SocketIOValue]

    init(event: String, arguments: [SocketIOValue]) {
        self.event = event
        self.arguments = arguments
    }

    /// Reads a line of the input.
    ///
    /// - Throws: `NotAnEvent`.
    init(utf8 line: ByteBuffer) throws(NotAnEvent) {
        // Mended bytes would be another event than the one that is meant.
        guard let text = String(validating: line.readableBytesView, as: UTF8.self) else { throw NotAnEvent(reason: "it is not UTF-8") }
        try self.init(text)
    }

    /// Reads a line.
    ///
    /// - Throws: `NotAnEvent`.
    init(_ line: String) throws(NotAnEvent) {
        let line = line[...].trimmed
        let (name, rest) = try Self.split(line)
        guard !SocketIOPacket.isReserved(name) else { throw NotAnEvent(reason: "the name \(name) is reserved") }
        event = name
        do throws(SocketIOParseError) {
            arguments = try SocketIOValue(json: "[\(rest)]").array ?? []
        } catch {
            throw NotAnEvent(reason: "its arguments are not JSON with commas between, such as 1, \"text\", {\"a\": true} (\(error.detail))")
        }
    }

    /// The name, which is a word or a JSON string, and what stands behind it.
    private static func split(_ line: String) throws(NotAnEvent) -> (String, Substring) {
        guard line.first == "\"" else {
            let end = line.firstIndex { $0 == " " || $0 == "\t" } ?? line.endIndex
            guard end > line.startIndex else { throw NotAnEvent(reason: "it has no name") }
            return (String(line[..<end]), line[end...])
        }
        var isEscaped = false
        for index in line.indices.dropFirst() {
            if line[index] == "\"" && !isEscaped {
                let end = line.index(after: index)
                guard let name = (try? SocketIOValue(json: line[..<end]))?.string else { break }
                return (name, line[end...])
            }
            isEscaped = line[index] == "\\" && !isEscaped
        }
        throw NotAnEvent(reason: "its name is no JSON string")
    }

    /// The event as it would be typed.
    var text: String {
        let isWord = !event.isEmpty && event.first != "\"" && !event.contains { $0.isWhitespace }
        let name = isWord ? event : SocketIOValue.string(event).json
        return arguments.isEmpty ? name : "\(name) \(Self.text(arguments))"
    }

    static func text(_ arguments: some Sequence<SocketIOValue>) -> String { arguments.map(\.json).joined(separator: ", ") }
}

/// A line is no event.
struct NotAnEvent: Error, Equatable, CustomStringConvertible {
    let reason: String
    var description: String { "a line is an event's name and its arguments: \(reason)" }
}

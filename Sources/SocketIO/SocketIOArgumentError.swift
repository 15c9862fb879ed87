// Arguments that are not what a handler asks for, or that can not be sent.

/// An argument of an event or an acknowledgement has another type than is asked for, or can not be encoded.
public struct SocketIOArgumentError: Error, Sendable, Hashable, CustomStringConvertible {
    /// Which argument, counted from 0; nil if it is none of several.
    public var argument: Int?
    /// The way to what does not fit inside of the argument, as JavaScript would write it: `users[2].name`; empty for the argument itself.
    public let path: String
    /// What was expected, and what was found.
    public let reason: String

    /// Makes an error.
    public init(argument: Int? = nil, path: String = "", reason: String) {
        self.argument = argument
        self.path = path
        self.reason = reason
    }

    /// Which argument, where in it, and what is wrong.
    public var description: String {
        let place = [argument.map { "argument \($0 + 1)" }, path.isEmpty ? nil : "at \(path)"].compactMap(\.self).joined(separator: ", ")
        return place.isEmpty ? reason : "\(place): \(reason)"
    }
}

extension SocketIOArgumentError {
    /// Takes the place and the reason from an error of `Codable`.
    init(_ error: any Error) {
        switch error {
        case let error as SocketIOArgumentError: self = error
        case let error as DecodingError: self.init(error)
        case EncodingError.invalidValue(_, let context): self.init(context.codingPath, context.debugDescription)
        default: self.init(reason: "\(error)")
        }
    }

    private init(_ error: DecodingError) {
        switch error {
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            self.init(context.codingPath, context.debugDescription)
        case .keyNotFound(let key, let context):
            self.init(context.codingPath + [key], context.debugDescription)
        @unknown default: self.init(reason: "\(error)")
        }
    }

    private init(_ path: [any CodingKey], _ reason: String) {
        var text = ""
        for key in path {
            if let index = key.intValue { text += "[\(index)]" } else { text += text.isEmpty ? key.stringValue : ".\(key.stringValue)" }
        }
        self.init(path: text, reason: reason)
    }
}

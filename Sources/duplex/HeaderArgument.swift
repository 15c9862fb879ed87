// A header field as an argument, `Name: value`: RFC 9110 §5.1, §5.5.

import ArgumentParser
import HTTPTypes

/// A header field as it is typed on the command line.
struct HeaderArgument: ExpressibleByArgument, Equatable {
    let field: HTTPField

    /// Parses `Name: value`; spaces around the value do not belong to it, and it may be empty.
    ///
    /// Nil if there is no colon, if the name is not a token, or if the value has control characters in it: a line break there would
    /// smuggle in a header of its own.
    init?(argument: String) {
        guard let colon = argument.firstIndex(of: ":") else { return nil }
        guard let name = HTTPField.Name(String(argument[..<colon])) else { return nil }
        let value = argument[argument.index(after: colon)...].trimmed
        guard HTTPField.isValidValue(value) else { return nil }
        field = HTTPField(name: name, value: value)
    }
}

extension Substring {
    /// Without the spaces and tabs at both ends, which is all that RFC 9110 §5.6.3 counts as optional white space.
    var trimmed: String {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        let head = drop(while: isBlank)
        guard let last = head.lastIndex(where: { !isBlank($0) }) else { return "" }
        return String(head[...last])
    }
}

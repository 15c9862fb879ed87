// The arguments of an event, typed: a handler's parameters are a pack of `Decodable` types, and what is emitted is a pack of `Encodable`
// ones.

import Logging

/// Arguments between values and Swift's types.
public enum SocketIOArguments {
    /// Decodes the arguments that a handler asks for.
    ///
    /// As in JavaScript, arguments beyond those are ignored, and those that are missing at the end count as undefined: they are nil where
    /// the type is optional.
    ///
    /// - Throws: `SocketIOArgumentError` that says which argument is missing or does not fit, and why.
    @inlinable
    public static func decode<each Argument: Decodable>(
        _ values: ArraySlice<SocketIOValue>, as types: repeat (each Argument).Type
    ) throws(SocketIOArgumentError) -> (repeat each Argument) {
        var reader = ArgumentReader(values)
        return (repeat try reader.next(each types))
    }

    /// Encodes arguments.
    ///
    /// - Throws: `SocketIOArgumentError` that says which argument can not be encoded, and why.
    @inlinable
    public static func encode<each Argument: Encodable>(
        _ arguments: repeat each Argument
    ) throws(SocketIOArgumentError) -> [SocketIOValue] {
        var values: [SocketIOValue] = []
        try append(repeat each arguments, to: &values)
        return values
    }

    /// Encodes arguments to the end of others, or behind an event's name.
    ///
    /// - Throws: `SocketIOArgumentError` that says which argument can not be encoded, and why.
    @inlinable
    public static func append<each Argument: Encodable>(
        _ arguments: repeat each Argument, to values: inout [SocketIOValue]
    ) throws(SocketIOArgumentError) {
        let first = values.count
        for argument in repeat each arguments { values.append(try encode(argument, number: values.count - first)) }
    }

    /// An event's name and its arguments; nil if they can not be encoded, which is logged.
    static func event<each Argument: Encodable>(
        _ event: String, _ arguments: repeat each Argument, what: StaticString = "an event", logger: @autoclosure () -> Logger,
        failed: (SocketIOArgumentError) -> Void = { _ in }
    ) -> [SocketIOValue]? {
        var values: [SocketIOValue] = [.string(event)]
        do throws(SocketIOArgumentError) {
            try append(repeat each arguments, to: &values)
            return values
        } catch {
            logger().error("\(what) is not sent: \(error)", metadata: ["event": "\(event)"])
            failed(error)
            return nil
        }
    }

    @usableFromInline
    static func encode(_ argument: some Encodable, number: Int) throws(SocketIOArgumentError) -> SocketIOValue {
        do throws(SocketIOArgumentError) {
            return try ValueEncoder().encode(argument)
        } catch {
            throw error.with(argument: number)
        }
    }
}

extension SocketIOArgumentError {
    func with(argument: Int) -> Self { Self(argument: argument, path: path, reason: reason) }
}

/// Takes one argument after the other.
@usableFromInline
struct ArgumentReader {
    private let values: ArraySlice<SocketIOValue>
    private var position: Int

    @usableFromInline
    init(_ values: ArraySlice<SocketIOValue>) {
        self.values = values
        position = values.startIndex
    }

    @usableFromInline
    mutating func next<T: Decodable>(_ type: T.Type) throws(SocketIOArgumentError) -> T {
        guard position < values.endIndex else { return try missing(type) }
        let number = position - values.startIndex
        position += 1
        do throws(SocketIOArgumentError) {
            return try ValueDecoder().decode(type, from: values[position - 1])
        } catch {
            throw error.with(argument: number)
        }
    }

    private func missing<T>(_ type: T.Type) throws(SocketIOArgumentError) -> T {
        if let type = type as? any NilRepresentable.Type, let none = type.absent as? T { return none }
        let reason = "expected \(T.self), but there \(values.count == 1 ? "is 1 argument" : "are \(values.count) arguments")"
        throw SocketIOArgumentError(argument: values.count, reason: reason)
    }
}

/// Types of which a missing argument can be one.
private protocol NilRepresentable {
    static var absent: Self { get }
}

extension Optional: NilRepresentable {
    fileprivate static var absent: Self { nil }
}

extension SocketIOValue: NilRepresentable {
    fileprivate static var absent: Self { .null }
}

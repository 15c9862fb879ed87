// Packs of types and the arguments of events.

import Foundation
import NIOCore
import SocketIO
import Testing

@Suite struct SocketIOArgumentsTests {
    /// What `on` will be: a handler of any number of parameters, called with values.
    ///
    /// `@concurrent`, as Swift 6.3.1 crashes on a closure that runs where its caller does and has a pack of parameters. With a task
    /// executor that is preferred, it runs there all the same.
    private func call<each Argument: Decodable & Sendable, Result: Sendable>(
        _ values: [SocketIOValue], _ handler: @Sendable @concurrent (repeat each Argument) async throws -> Result
    ) async throws -> Result {
        let arguments = try SocketIOArguments.decode(values[1...], as: repeat (each Argument).self)
        return try await handler(repeat each arguments)
    }

    private func fault<each Argument: Decodable>(_ values: [SocketIOValue], _ types: repeat (each Argument).Type) -> String? {
        do throws(SocketIOArgumentError) {
            _ = try SocketIOArguments.decode(values[...], as: repeat each types)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func handlersOfAnyNumberOfParameters() async throws {
        struct Point: Codable, Equatable { let x, y: Int }
        #expect(try await call(["e"]) { 1 } == 1)
        #expect(try await call(["e", "a"]) { (text: String) in text + "!" } == "a!")
        #expect(try await call(["e", 1, 2]) { (a: Int, b: Int) in a + b } == 3)
        #expect(
            try await call(["e", ["x": 1, "y": 2], "b", .binary(ByteBuffer(bytes: [1])), [1, nil]]) {
                (point: Point, text: String, data: Data, list: [Int?]) in
                point == Point(x: 1, y: 2) && text == "b" && data == Data([1]) && list == [1, nil]
            })
        let nothing: Void = try await call(["e", 1]) { (_: Int) in }
        #expect(nothing == ())
    }

    @Test func argumentsBeyondAreIgnored() async throws {
        #expect(try await call(["e", 1, 2, 3]) { (a: Int) in a } == 1)
        #expect(try await call(["e", 1, 2, 3]) { true })
    }

    @Test func missingArgumentsAreNilWhereTheyMay() async throws {
        #expect(try await call(["e", 1]) { (a: Int, b: Int?, c: String?, d: SocketIOValue) in a == 1 && b == nil && c == nil && d.isNull })
        #expect(fault([1], Int.self, String.self) == "argument 2: expected String, but there is 1 argument")
        #expect(fault([], Int.self) == "argument 1: expected Int, but there are 0 arguments")
        #expect(fault([1, 2], Int.self, Int?.self, Int?.self, Int.self) == "argument 3: expected Int, but there are 2 arguments")
    }

    @Test func saysWhichArgumentDoesNotFit() {
        #expect(fault([1, "2"], Int.self, Int.self) == "argument 2: expected Int, found a string")
        #expect(fault([1, ["a": [true, 1]]], Int.self, [String: [Bool]].self) == "argument 2, at a[1]: expected Bool, found a number")
        #expect(fault(["x", 1], Int.self, String.self) == "argument 1: expected Int, found a string")
    }

    @Test func encodesAnyNumber() throws {
        struct Point: Codable { let x, y: Int }
        #expect(try SocketIOArguments.encode() == [])
        #expect(
            try SocketIOArguments.encode("a", 1, true, Point(x: 1, y: 2), Data([1])) == [
                "a", 1, true, ["x": 1, "y": 2], .binary(ByteBuffer(bytes: [1])),
            ])
        var values: [SocketIOValue] = ["name"]
        try SocketIOArguments.append(1, String?.none, to: &values)
        #expect(values == ["name", 1, nil])
    }

    @Test func saysWhichArgumentCanNotBeEncoded() {
        var values: [SocketIOValue] = ["name"]
        let error = #expect(throws: SocketIOArgumentError.self) { try SocketIOArguments.append(1, [UInt64.max], to: &values) }
        #expect(error?.argument == 1 && error?.path == "[0]")
        #expect(error?.description == "argument 2, at [0]: 18446744073709551615 does not fit 64 bits with a sign: send it as text")
    }
}

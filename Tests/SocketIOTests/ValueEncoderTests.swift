// Swift's types to values.

import Foundation
import NIOCore
import Testing

@testable import SocketIO

@Suite struct ValueEncoderTests {
    private func encode(_ value: some Encodable) throws -> SocketIOValue { try ValueEncoder().encode(value) }

    /// The same through `Codable` alone, as a member of a type.
    private struct Box<T: Encodable>: Encodable { let x: T }

    private func check<T: Encodable>(_ value: T, _ expected: SocketIOValue) throws {
        #expect(try encode(value) == expected)
        #expect(try encode([value]) == [expected])
        #expect(try encode(Box(x: value)) == ["x": expected])
        #expect(try encode(["k": [value]]) == ["k": [expected]])
        #expect(try encode(Optional(value)) == expected)
    }

    @Test func encodesScalars() throws {
        try check("a", "a")
        try check(true, true)
        try check(1, 1)
        try check(Int8(-1), -1)
        try check(Int16(-2), -2)
        try check(Int32(-3), -3)
        try check(Int64.min, .int(.min))
        try check(UInt(4), 4)
        try check(UInt8(255), 255)
        try check(UInt16(65535), 65535)
        try check(UInt32.max, 4_294_967_295)
        try check(UInt64(5), 5)
        try check(1.5, 1.5)
        try check(Float(0.1), 0.1)
        try check(SocketIOValue.object(["a": nil]), ["a": nil])
        try check([SocketIOValue]([1, "b"]), [1, "b"])
        try check(["a", "b"], ["a", "b"])
        try check([1, 2], [1, 2])
        try check(["a": 1] as SocketIOObject, ["a": 1])
    }

    @Test func encodesBytesAsBytes() throws {
        let bytes = SocketIOValue.binary(ByteBuffer(bytes: [1, 2]))
        try check(Data([1, 2]), bytes)
        try check(ByteBuffer(bytes: [1, 2]), bytes)
        try check(Data?.some(Data([1, 2])), bytes)
        // A list of numbers is one.
        try check([1, 2] as [UInt8], [1, 2])
    }

    @Test func encodesFoundationsTypes() throws {
        try check(Date(timeIntervalSince1970: 960_854_400.25), "2000-06-13T00:00:00.250Z")
        try check(try #require(URL(string: "https://example.com/a?b=c")), "https://example.com/a?b=c")
        try check(try #require(Decimal(string: "0.10000000000000000000000000001")), "0.10000000000000000000000000001")
        try check(Decimal(3), "3")
        let id = UUID()
        try check(id, .string(id.uuidString))
    }

    @Test func encodesNil() throws {
        #expect(try encode(String?.none) == nil && encode(Int?.none) == nil && encode(Bool?.none) == nil && encode(Double?.none) == nil)
        #expect(
            try encode(Data?.none) == nil && encode(ByteBuffer?.none) == nil && encode(SocketIOValue?.none) == nil
                && encode(Date?.none) == nil)
        #expect(try encode([1, nil]) == [1, nil] && encode([Date?.none]) == [nil])
        struct Member: Encodable { let x: Int? }
        #expect(try encode(Member(x: nil)) == [:] && encode(Member(x: 1)) == ["x": 1])
        #expect(try encode(["a": Int?.none]) == ["a": nil])
    }

    private enum Color: String, Encodable { case red }
    private enum Shape: Encodable { case circle(radius: Double), none }
    private struct User: Encodable {
        let name: String
        let tags: [String: Int]
        let picture: Data
        let color: Color
        let friends: [User]
    }

    @Test func encodesTypes() throws {
        let ada = User(name: "Ada", tags: ["x": 1], picture: Data([9]), color: .red, friends: [])
        let bob = User(name: "Bob", tags: [:], picture: Data(), color: .red, friends: [ada])
        let expected: SocketIOValue = [
            "name": "Ada", "tags": ["x": 1], "picture": .binary(ByteBuffer(bytes: [9])), "color": "red", "friends": [],
        ]
        #expect(try encode(ada) == expected)
        #expect(
            try encode(bob) == ["name": "Bob", "tags": [:], "picture": .binary(ByteBuffer()), "color": "red", "friends": [expected]])
        #expect(try encode(Shape.circle(radius: 2)) == ["circle": ["radius": 2.0]] && encode(Shape.none) == ["none": [:]])
        #expect(try encode([7: "a"]) == ["7": "a"])
        struct Empty: Encodable {}
        struct Silent: Encodable { func encode(to encoder: any Encoder) {} }
        #expect(try encode(Empty()) == [:] && encode(Silent()) == [:] && encode([Silent()]) == [[:]])
    }

    /// Containers in each other, asked for in any order, and a superclass.
    @Test func encodesByHand() throws {
        struct Custom: Encodable {
            enum Keys: String, CodingKey { case a, b, c, d, e }
            func encode(to encoder: any Encoder) throws {
                var container = encoder.container(keyedBy: Keys.self)
                var list = container.nestedUnkeyedContainer(forKey: .a)
                var object = container.nestedContainer(keyedBy: Keys.self, forKey: .b)
                try object.encode("late", forKey: .c)
                try list.encode(1)
                var inner = list.nestedUnkeyedContainer()
                var innerObject = list.nestedContainer(keyedBy: Keys.self)
                try list.encodeNil()
                try inner.encode("x")
                try innerObject.encodeNil(forKey: .d)
                try "super".encode(to: list.superEncoder())
                #expect(list.count == 5 && list.codingPath.map(\.stringValue) == ["a"] && inner.codingPath.map(\.intValue) == [nil, 1])
                try container.encode(Float(0.5), forKey: .d)
                try container.encode(1, forKey: .e)
                try container.encode(2, forKey: .e)
                try true.encode(to: container.superEncoder())
                try 5.encode(to: container.superEncoder(forKey: .c))
                // The same container again.
                var again = encoder.container(keyedBy: Keys.self)
                try again.encode(3, forKey: .e)
            }
        }
        let expected: SocketIOValue = [
            "a": [1, ["x"], ["d": nil], nil, "super"], "b": ["c": "late"], "d": 0.5, "e": 3, "super": true, "c": 5,
        ]
        #expect(try encode(Custom()) == expected)
    }

    @Test func aTypeThatContradictsItselfIsNoTrap() throws {
        struct Confused: Encodable {
            func encode(to encoder: any Encoder) throws {
                var keyed = encoder.container(keyedBy: ValueKey.self)
                var list = encoder.unkeyedContainer()
                try keyed.encode(1, forKey: ValueKey(stringValue: "a"))
                try list.encode(2)
            }
        }
        #expect(try encode(Confused()) == [2])
    }

    @Test func saysWhereANumberDoesNotFit() {
        let error = #expect(throws: SocketIOArgumentError.self) { try encode(["list": [Box(x: [1, UInt64.max])]]) }
        #expect(error?.path == "list[0].x[1]")
        #expect(error?.description == "at list[0].x[1]: 18446744073709551615 does not fit 64 bits with a sign: send it as text")
        #expect(throws: SocketIOArgumentError.self) { try encode(UInt.max) }
        #expect(throws: SocketIOArgumentError.self) { try encode(Box(x: UInt64.max)) }
    }

    @Test func passesOnWhatATypeThrows() {
        struct Refusal: Error, CustomStringConvertible { let description = "not today" }
        struct Refusing: Encodable { func encode(to encoder: any Encoder) throws { throw Refusal() } }
        let error = #expect(throws: SocketIOArgumentError.self) { try encode([Refusing()]) }
        #expect(error?.description == "not today")
    }
}

// Values to Swift's types.

import Foundation
import NIOCore
import TestSupport
import Testing

@testable import SocketIO

@Suite struct ValueDecoderTests {
    private func decode<T: Decodable>(_ value: SocketIOValue, as type: T.Type = T.self) throws -> T {
        try ValueDecoder().decode(type, from: value)
    }

    private struct Box<T: Decodable>: Decodable { let x: T }

    /// The value alone and wherever it may stand in others.
    private func check<T: Decodable & Equatable>(_ value: SocketIOValue, _ expected: T) throws {
        #expect(try decode(value) == expected)
        #expect(try decode([value]) == [expected])
        #expect(try decode(["x": value], as: Box<T>.self).x == expected)
        #expect(try decode(value) == Optional(expected))
        #expect(try decode(["k": [value]]) == ["k": [expected]])
    }

    private func fault<T: Decodable>(_ value: SocketIOValue, as type: T.Type) -> String? {
        do throws(SocketIOArgumentError) {
            _ = try ValueDecoder().decode(type, from: value)
            return nil
        } catch {
            return error.description
        }
    }

    @Test func decodesScalars() throws {
        try check("a", "a")
        try check(true, true)
        try check(1, 1)
        try check(3.0, 3)
        try check(-1, Int8(-1))
        try check(300, Int16(300))
        try check(-70000, Int32(-70000))
        try check(.int(.min), Int64.min)
        try check(3.0, UInt(3))
        try check(255, UInt8(255))
        try check(65535, UInt16(65535))
        try check(4_294_967_295, UInt32.max)
        try check(.double(18446744073709549568), UInt64(18446744073709549568))
        try check(1.5, 1.5)
        try check(2, 2.0)
        try check(0.1, Float(0.1))
        try check(2, Float(2))
        try check(["a": [1, nil]], SocketIOValue.object(["a": [1, nil]]))
        try check([1, "b"], [SocketIOValue]([1, "b"]))
        try check(["a": 1], ["a": 1] as SocketIOObject)
    }

    @Test func decodesBytes() throws {
        let bytes = SocketIOValue.binary(ByteBuffer(bytes: [1, 2]))
        try check(bytes, Data([1, 2]))
        try check(bytes, ByteBuffer(bytes: [1, 2]))
        try check(.binary(ByteBuffer()), Data())
        try check([1, 2], [1, 2] as [UInt8])
        #expect(fault("AQI=", as: Data.self) == "expected Data, found a string")
        #expect(fault([1, 2], as: Data.self) == "expected Data, found an array")
        #expect(fault("AQI=", as: ByteBuffer.self) == "expected ByteBuffer, found a string")
        #expect(fault(bytes, as: String.self) == "expected String, found binary data")
    }

    @Test func decodesFoundationsTypes() throws {
        try check("2000-06-13T00:00:00.250Z", Date(timeIntervalSince1970: 960_854_400.25))
        try check(960_854_400_250, Date(timeIntervalSince1970: 960_854_400.25))
        try check("https://example.com/a?b=c", try #require(URL(string: "https://example.com/a?b=c")))
        try check("0.10000000000000000000000000001", try #require(Decimal(string: "0.10000000000000000000000000001")))
        try check(3, Decimal(3))
        try check(0.1, try #require(Decimal(string: "0.1")))
        let id = UUID()
        try check(.string(id.uuidString), id)
        #expect(fault("today", as: Date.self) == "expected a date like 2000-06-13T00:00:00.000Z, found other text")
        #expect(fault(true, as: Date.self) == "expected a date, found a boolean")
        #expect(fault(.double(.infinity), as: Date.self) == "expected a date, found a number")
        #expect(fault("", as: URL.self) == "expected a URL, found other text" && fault(1, as: URL.self) == "expected URL, found a number")
        #expect(
            fault("x", as: Decimal.self) == "expected a decimal number, found other text"
                && fault([], as: Decimal.self) == "expected Decimal, found an array")
        #expect(fault(.double(.nan), as: Decimal.self) != nil)
    }

    @Test func nothingIsConverted() {
        #expect(
            fault("3", as: Int.self) == "expected Int, found a string" && fault("3", as: Double.self) == "expected Double, found a string")
        #expect(
            fault(3, as: String.self) == "expected String, found a number" && fault(1, as: Bool.self) == "expected Bool, found a number")
        #expect(
            fault("true", as: Bool.self) == "expected Bool, found a string" && fault(true, as: Int.self) == "expected Int, found a boolean")
        #expect(
            fault(nil, as: String.self) == "expected String, found null" && fault(nil, as: Double.self) == "expected Double, found null")
        #expect(
            fault([:], as: [Int].self) == "expected an array, found an object"
                && fault([], as: [String: Int].self) == "expected an object, found an array")
    }

    @Test func numbersMustFit() {
        #expect(fault(300, as: UInt8.self) == "expected UInt8, found 300.0" && fault(-1, as: UInt.self) == "expected UInt, found -1.0")
        #expect(fault(3.5, as: Int.self) == "expected Int, found 3.5" && fault(1e300, as: Int.self) == "expected Int, found 1e+300")
        #expect(fault(.double(.nan), as: Int.self) == "expected Int, found nan" && fault(-129, as: Int8.self) != nil)
        #expect(
            fault(.double(0x1p63), as: Int.self) != nil && fault(.double(0x1p63), as: Int64.self) != nil
                && fault(.int(.max), as: Int32.self) != nil)
    }

    @Test func decodesNil() throws {
        #expect(try decode(nil, as: String?.self) == nil && decode(nil, as: Int?.self) == nil)
        #expect(try decode([1, nil], as: [Int?].self) == [1, nil])
        struct Member: Decodable { let x: Int? }
        #expect(try decode([:], as: Member.self).x == nil && decode(["x": nil], as: Member.self).x == nil)
        #expect(try decode(["x": 1], as: Member.self).x == 1)
        #expect(try decode(nil, as: SocketIOValue.self) == nil)
    }

    private enum Color: String, Codable { case red, blue }
    private struct User: Codable, Equatable {
        var name: String
        var age: Int?
        var tags: [String: [Double]]
        var picture: Data
        var color: Color
        var friends: [User]
        var extra: SocketIOValue
        var more: SocketIOObject
        var born: Date
    }

    private let ada = User(
        name: "Ada", age: nil, tags: ["x": [1, 2.5]], picture: Data([1, 2]), color: .red,
        friends: [
            User(
                name: "Bob", age: 7, tags: [:], picture: Data(), color: .blue, friends: [], extra: nil, more: [:],
                born: Date(timeIntervalSince1970: 0))
        ],
        extra: ["a": [.binary(ByteBuffer(bytes: [3])), nil, 1.5]], more: ["z": 1, "a": 2], born: Date(timeIntervalSince1970: 960_854_400))

    @Test func whatWasEncodedIsDecoded() throws {
        let value = try ValueEncoder().encode(ada)
        #expect(try decode(value, as: User.self) == ada)
        #expect(try decode(["7": "a", "8": "b"], as: [Int: String].self) == [7: "a", 8: "b"])
    }

    @Test func otherCodersKnowValues() throws {
        let value: SocketIOValue = ["a": [1, 2.5, "x", true, nil, [:], []], "b": ["c": -1]]
        let data = try JSONEncoder().encode(value)
        let again = try JSONDecoder().decode(SocketIOValue.self, from: data)
        #expect(again["a"] == value["a"] && again["b"] == value["b"] && again.object?.count == 2)
        #expect(try JSONDecoder().decode(SocketIOObject.self, from: data)["b"] == ["c": -1])
        #expect(throws: DecodingError.self) { try JSONDecoder().decode(SocketIOObject.self, from: Data("[]".utf8)) }
        #expect(
            try JSONDecoder().decode(
                User.self,
                from: JSONEncoder().encode(
                    User(name: "x", tags: [:], picture: Data(), color: .red, friends: [], extra: [1], more: ["a": 1], born: .distantPast))
            ).extra == [1])
    }

    @Test func saysWhere() throws {
        var value = try ValueEncoder().encode(ada).object ?? [:]
        value["friends"] = [["name": 5]]
        #expect(fault(.object(value), as: User.self) == "at friends[0].name: expected String, found a number")
        value["friends"] = [["name": "x"]]
        #expect(fault(.object(value), as: User.self) == "at friends[0].tags: expected Dictionary<String, Array<Double>>, found nothing")
        value["friends"] = []
        value["tags"] = ["x": [1, 2, "3"]]
        #expect(fault(.object(value), as: User.self) == "at tags.x[2]: expected Double, found a string")
        value["tags"] = [:]
        value["color"] = "green"
        #expect(fault(.object(value), as: User.self)?.hasPrefix("at color: ") == true)
        #expect(fault([1, 300], as: [UInt8].self) == "at [1]: expected UInt8, found 300.0")
    }

    /// Containers in each other, and a superclass.
    @Test func decodesByHand() throws {
        struct Custom: Decodable {
            enum Keys: String, CodingKey { case a, b, c, d }
            init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: Keys.self)
                #expect(container.allKeys == [.a, .b, .c] && container.contains(.a) && !container.contains(.d))
                #expect(try container.decodeNil(forKey: .c) && !container.decodeNil(forKey: .a))
                #expect(throws: DecodingError.self) { try container.decodeNil(forKey: .d) }
                var list = try container.nestedUnkeyedContainer(forKey: .a)
                #expect(list.count == 5 && !list.isAtEnd)
                #expect(try list.decode(Int.self) == 1)
                #expect(throws: DecodingError.self) { try list.decode(Int.self) }
                #expect(list.currentIndex == 1)
                #expect(try !list.decodeNil() && list.decode(String.self) == "x" && list.decodeNil())
                var inner = try list.nestedUnkeyedContainer()
                #expect(try inner.decode(Bool.self) && inner.isAtEnd)
                #expect(inner.codingPath.map(\.stringValue) == ["a", "3"])
                #expect(throws: DecodingError.self) { try inner.decode(Bool.self) }
                #expect(throws: DecodingError.self) { try inner.decodeNil() }
                #expect(try Int(from: list.superDecoder()) == 9 && list.isAtEnd)
                let nested = try container.nestedContainer(keyedBy: Keys.self, forKey: .b)
                #expect(try nested.decode(Double.self, forKey: .c) == 2 && nested.codingPath.map(\.stringValue) == ["b"])
                #expect(try Bool(from: container.superDecoder()) && container.superDecoder(forKey: .c).singleValueContainer().decodeNil())
                #expect(throws: DecodingError.self) { try container.nestedContainer(keyedBy: Keys.self, forKey: .a) }
                #expect(throws: DecodingError.self) { try container.nestedUnkeyedContainer(forKey: .b) }
            }
        }
        _ = try decode(["a": [1, "x", nil, [true], 9], "b": ["c": 2], "c": nil, "super": true], as: Custom.self)
    }

    @Test(arguments: [1, 2] as [UInt64])
    func anyValueGoesThroughCodable(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        struct Holder: Codable, Equatable { var x: SocketIOValue }
        for round in 0..<200 {
            let holder = Holder(x: RandomValue.make(&generator))
            let again = try decode(ValueEncoder().encode(holder), as: Holder.self)
            if again != holder { Issue.record("seed \(seed), round \(round): \(holder)") }
        }
    }
}

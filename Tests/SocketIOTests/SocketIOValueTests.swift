// Values: literals, what is inside, equality.

import NIOCore
import SocketIO
import Testing

@Suite struct SocketIOValueTests {
    private let user: SocketIOValue = ["name": "Ada", "tags": ["x", "y"], "age": 36, "height": 1.7, "ok": true, "none": nil]

    @Test func hasLiterals() {
        #expect(user["name"] == .string("Ada"))
        #expect(user["tags"] == .array([.string("x"), .string("y")]))
        #expect(user["age"] == .int(36))
        #expect(user["height"] == .double(1.7))
        #expect(user["ok"] == .bool(true))
        #expect(user["none"] == .null)
        #expect("a\(1)" as SocketIOValue == .string("a1"))
        #expect(["a": 1, "a": 2] as SocketIOValue == ["a": 2])
    }

    @Test func saysWhatIsInside() {
        #expect(user["name"]?.string == "Ada" && user["tags"]?[1]?.string == "y" && user["tags"]?.array?.count == 2)
        #expect(user["age"]?.int == 36 && user["age"]?.double == 36 && user["height"]?.double == 1.7)
        #expect(user["ok"]?.bool == true && user["none"]?.isNull == true && user.object?.count == 6)
        #expect(SocketIOValue.binary(ByteBuffer(bytes: [1])).binary == ByteBuffer(bytes: [1]))
    }

    @Test func numbersAreTakenForWhatTheyAreWorth() {
        #expect(SocketIOValue.double(3).int == 3)
        #expect(SocketIOValue.double(3.5).int == nil)
        #expect(
            SocketIOValue.double(.nan).int == nil && SocketIOValue.double(.infinity).int == nil && SocketIOValue.double(1e19).int == nil)
    }

    @Test func nothingIsFoundWhereNothingIs() {
        #expect(
            user["missing"] == nil && user[0] == nil && user["tags"]?[2] == nil && user["tags"]?[-1] == nil && user["tags"]?["x"] == nil)
        #expect(user.string == nil && user.int == nil && user.double == nil && user.bool == nil && user.array == nil && user.binary == nil)
        #expect(user["name"]?.object == nil)
    }

    @Test func equalityKnowsKindsAndOrder() {
        #expect(SocketIOValue.int(1) != .double(1) && SocketIOValue.null != .bool(false))
        #expect((["a": 1, "b": 2] as SocketIOValue) != ["b": 2, "a": 1])
        #expect(Set<SocketIOValue>([1, 1, "a", nil, ["a": [1]], ["a": [1]]]).count == 4)
    }

    @Test func isSmall() { #expect(MemoryLayout<SocketIOValue>.stride == 24) }

    @Test func namesEvents() {
        #expect(SocketIOValue.string("a").eventName == "a" && SocketIOValue.int(-7).eventName == "-7")
        #expect(SocketIOValue.double(1.5).eventName == "1.5" && SocketIOValue.double(2).eventName == "2")
        #expect(SocketIOValue.null.eventName == nil && user.eventName == nil && SocketIOValue.bool(true).eventName == nil)
    }
}

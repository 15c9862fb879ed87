// Objects: order, names that come again, the index of large ones.

import TestSupport
import Testing

@testable import SocketIO

@Suite struct SocketIOObjectTests {
    @Test func keepsOrder() {
        let object: SocketIOObject = ["b": 1, "a": 2, "10": 3, "2": 4]
        #expect(object.keys == ["b", "a", "10", "2"] && object.values == [1, 2, 3, 4])
        #expect(object.first?.key == "b" && object[3].value == 4 && object.count == 4)
    }

    @Test func theLastValueCountsInTheFirstPlace() {
        let object: SocketIOObject = ["a": 1, "b": 2, "a": 3]
        #expect(object.keys == ["a", "b"] && object["a"] == 3)
    }

    @Test func removes() {
        var object: SocketIOObject = ["a": 1, "b": 2, "c": 3]
        object["b"] = nil
        object["missing"] = nil
        #expect(object.keys == ["a", "c"] && object["b"] == nil && object["c"] == 3)
        object["b"] = 4
        #expect(object.keys == ["a", "c", "b"])
    }

    /// Against an array that is looked through, below and above the index's threshold and back.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func agreesWithAList(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var object = SocketIOObject()
        var list: [(key: String, value: SocketIOValue)] = []
        for step in 0..<2000 {
            let name = String(Int.random(in: 0..<(step % 400 < 200 ? 60 : 10), using: &generator))
            let value: SocketIOValue? = Int.random(in: 0..<3, using: &generator) == 0 ? nil : .int(step)
            object[name] = value
            let place = list.firstIndex { $0.key == name }
            switch (place, value) {
            case (let place?, let value?): list[place].value = value
            case (let place?, nil): list.remove(at: place)
            case (nil, let value?): list.append((name, value))
            case (nil, nil): break
            }
            let isSame = object.keys == list.map(\.key) && object.values == list.map(\.value)
            if !isSame { Issue.record("seed \(seed), step \(step): \(object.keys)") }
            let looked = String(Int.random(in: 0..<60, using: &generator))
            if object[looked] != list.first(where: { $0.key == looked })?.value { Issue.record("seed \(seed), step \(step): \(looked)") }
        }
    }

    @Test func aHundredThousandNamesAreNoSquare() {
        // With a look at each, this takes minutes.
        var object = SocketIOObject()
        for number in 0..<100_000 { object[String(number)] = .int(number) }
        for number in 0..<100_000 where object[String(number)] != .int(number) { Issue.record("\(number)") }
    }

    @Test func equalityDoesNotKnowOfTheIndex() {
        var grown = SocketIOObject((0..<20).map { (key: "\($0)", value: .int($0)) })
        for number in 5..<20 { grown["\(number)"] = nil }
        let small = SocketIOObject((0..<5).map { (key: "\($0)", value: .int($0)) })
        #expect(grown == small && grown.hashValue == small.hashValue)
    }
}

// A reference that comes once and stays.

import Testing

@testable import EngineIO

@Suite struct SetOnceTests {
    private final class Value: Sendable {}
    private final class Holder: Sendable { let reference = SetOnce<Value>() }

    @Test func theFirstOneStays() {
        let reference = SetOnce<Value>()
        #expect(reference.load() == nil)
        let (first, second) = (Value(), Value())
        reference.storeIfNil(first)
        reference.storeIfNil(second)
        #expect(reference.load() === first)
    }

    @Test func whatItHoldsLivesAsLongAsItself() {
        weak var held: Value?
        weak var refused: Value?
        do {
            let reference = SetOnce<Value>()
            do {
                let (first, second) = (Value(), Value())
                (held, refused) = (first, second)
                reference.storeIfNil(first)
                reference.storeIfNil(second)
            }
            #expect(held != nil && refused == nil)
            #expect(reference.load() === held)
        }
        #expect(held == nil)
    }

    @Test func ofManyThreadsOneIsFirst() async {
        let holder = Holder()
        let seen = await withTaskGroup(of: ObjectIdentifier?.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    holder.reference.storeIfNil(Value())
                    return holder.reference.load().map(ObjectIdentifier.init)
                }
            }
            return await group.reduce(into: Set<ObjectIdentifier?>()) { $0.insert($1) }
        }
        #expect(seen.count == 1 && !seen.contains(nil))
    }
}

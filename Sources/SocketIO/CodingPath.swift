// The way from a value's root to where a coder is, as a list that shares its begin: arrays of keys are made only when somebody asks.

/// Where a coder is.
indirect enum CodingPath {
    case root
    case step(any CodingKey, from: CodingPath)

    /// The keys from the root on.
    var keys: [any CodingKey] {
        var keys: [any CodingKey] = []
        var path = self
        while case .step(let key, let parent) = path {
            keys.append(key)
            path = parent
        }
        return keys.reversed()
    }

    func appending(_ key: some CodingKey) -> CodingPath { .step(key, from: self) }
    func appending(_ index: Int) -> CodingPath { .step(ValueKey(intValue: index), from: self) }
}

/// A key that is an index, or a name that no type has declared.
struct ValueKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    init(intValue: Int) {
        stringValue = String(intValue)
        self.intValue = intValue
    }

    /// Where `superEncoder()` and `superDecoder()` have their value.
    static let `super` = ValueKey(stringValue: "super")
}

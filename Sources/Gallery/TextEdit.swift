// Operational transformation, as the Jupiter system has it (Nichols, Curtis, Dixon, Lamping: "High-latency, low-bandwidth windowing in the
// Jupiter collaboration system", UIST 1995), with one server that puts all edits in order.
//
// An edit walks the text from its beginning to its end. In JSON: 5 keeps five characters, "abc" inserts three, -2 deletes two. A character is
// a Unicode scalar, which Swift and JavaScript count alike.

/// A change of a text as a whole.
struct TextEdit: Equatable, Codable {
    enum Step: Equatable { case keep(Int), insert(String), delete(Int) }
    static let maxLength = 20_000, maxSteps = 500
    private(set) var steps: [Step] = []

    /// How long the text must be that it is made for.
    var lengthBefore: Int { steps.reduce(0) { $0 + $1.taken } }

    /// Adds a step, as part of the last one if they are of a kind.
    mutating func append(_ step: Step) {
        switch (steps.last, step) {
        case (_, .keep(0)), (_, .delete(0)), (_, .insert("")): break
        case (.keep(let count), .keep(let more)): steps[steps.count - 1] = .keep(count + more)
        case (.delete(let count), .delete(let more)): steps[steps.count - 1] = .delete(count + more)
        case (.insert(let text), .insert(let more)): steps[steps.count - 1] = .insert(text + more)
        default: steps.append(step)
        }
    }

    /// The text after the edit; it must be as long as the edit says.
    func applied(to text: [Unicode.Scalar]) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        var place = 0
        for step in steps {
            if case .keep(let count) = step { result += text[place..<place + count] }
            if case .insert(let added) = step { result += Array(added.unicodeScalars) }
            place += step.taken
        }
        return result
    }

    /// The same intention, for the text after another edit of the same text. Where both insert, the other, which came first, is left.
    func transformed(after other: TextEdit) -> TextEdit {
        var result = TextEdit()
        var mine = steps[...]
        var others = other.steps[...]
        while true {
            switch (mine.first, others.first) {
            case (_, .insert(let text)):
                result.append(.keep(text.unicodeScalars.count))
                others.removeFirst()
            case (.insert(let text), _):
                result.append(.insert(text))
                mine.removeFirst()
            case (let step?, let done?):
                let count = min(step.taken, done.taken)
                if case .keep = done { result.append(step.part(count)) }
                mine = step.rest(after: count) + mine.dropFirst()
                others = done.rest(after: count) + others.dropFirst()
            default: return result
            }
        }
    }
}

extension TextEdit.Step: Codable {
    /// How many characters of the text it walks over.
    var taken: Int {
        switch self {
        case .keep(let count), .delete(let count): count
        case .insert: 0
        }
    }

    func part(_ count: Int) -> Self { if case .delete = self { .delete(count) } else { .keep(count) } }
    func rest(after count: Int) -> ArraySlice<Self> { taken > count ? [part(taken - count)] : [] }

    init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        guard let count = try? value.decode(Int.self) else {
            self = .insert(try value.decode(String.self))
            return
        }
        guard count != 0, (-TextEdit.maxLength...TextEdit.maxLength).contains(count) else {
            throw Refusal("A step has 1 to \(TextEdit.maxLength) characters.")
        }
        self = count > 0 ? .keep(count) : .delete(-count)
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .keep(let count): try value.encode(count)
        case .delete(let count): try value.encode(-count)
        case .insert(let text): try value.encode(text)
        }
    }
}

extension TextEdit {
    init(from decoder: any Decoder) throws {
        self.init()
        let steps = try [Step](from: decoder)
        guard steps.count <= Self.maxSteps else { throw Refusal("An edit has \(Self.maxSteps) steps at most.") }
        for step in steps { append(step) }
    }
    func encode(to encoder: any Encoder) throws { try steps.encode(to: encoder) }
}

// A shared document: everyone edits at once, the server puts the edits in one order, and all come to the same text.

import PubSub
import Synchronization
import WebSockets

final class SharedDocument: Exhibit {
    enum Request: Decodable {
        /// What a page that comes back knows already; nothing for a new one.
        case open(name: String, document: String?, revision: Int?)
        case edit(revision: Int, edit: TextEdit)
        case cursor(at: Int)
    }
    enum Event: Encodable {
        case document(id: String, revision: Int, text: String)
        case resumed(revision: Int)
        case edited(revision: Int, user: String, edit: TextEdit)
        case cursor(user: String, name: String, at: Int)
        case left(user: String)
    }
    struct Edited { var user: String, edit: TextEdit }
    struct State {
        /// Which document it is: revisions of one from before a restart mean nothing.
        let id = String(UInt64.random(in: .min ... .max), radix: 36)
        var text = Array("Everyone may write here, all at once.\n\nOpen a second tab, and write in both.\n".unicodeScalars)
        var revision = 0
        /// The last edits, for those whose edit was made before they knew of them: 500, or fewer if they have many steps, as each edit that
        /// comes late is transformed by all of them.
        var log: [Edited] = []

        mutating func note(_ edited: Edited) {
            log = log.suffix(499) + [edited]
            var steps = log.reduce(0) { $0 + $1.edit.steps.count }
            while steps > 5000, log.count > 1 { steps -= log.removeFirst().edit.steps.count }
        }
    }

    private let state = Mutex(State())
    private let limits = RateLimits(perSecond: 40, burst: 80)

    func mount(on server: WebSocketServer) {
        server.webSocket("/document/{user}") { [self] socket in
            var name: String?
            defer { if name != nil { socket.publish(.json(Event.left(user: socket.user)), to: "document") } }
            try await socket.converse(Request.self, within: limits, atMost: 200_000) { request in
                switch request {
                case .open(let typed, let document, let revision):
                    name = try typed.checked("A name", 1...24)
                    try open(document, revision, socket)
                case .edit(let revision, let edit): try state.withLock { try apply(edit, at: revision, &$0, socket) }
                case .cursor(let place):
                    guard let name, (0...TextEdit.maxLength).contains(place) else { throw Refusal("Open the document first.") }
                    socket.publish(.json(Event.cursor(user: socket.user, name: name, at: place)), to: "document")
                }
            }
        }
    }

    /// Under the lock: nothing is missed, and nothing comes twice. Who was away gets what it missed, its own edits among it.
    private func open(_ document: String?, _ revision: Int?, _ socket: WebSocket) throws {
        try state.withLock { state in
            let oldest = state.revision - state.log.count
            if let revision, document == state.id, (oldest...state.revision).contains(revision) {
                for (index, edited) in state.log[(revision - oldest)...].enumerated() {
                    socket.trySend(.json(Event.edited(revision: revision + index + 1, user: edited.user, edit: edited.edit)))
                }
                socket.trySend(.json(Event.resumed(revision: state.revision)))
            } else {
                let text = String(String.UnicodeScalarView(state.text))
                socket.trySend(.json(Event.document(id: state.id, revision: state.revision, text: text)))
            }
            try socket.subscribe("document", whenSlow: .close)
        }
    }

    /// Brings an edit up to date, applies it, and tells everyone; to its author, that is the acknowledgement.
    private func apply(_ edit: TextEdit, at revision: Int, _ state: inout State, _ socket: WebSocket) throws(Refusal) {
        let oldest = state.revision - state.log.count
        guard (oldest...state.revision).contains(revision) else { throw Refusal("Your text is too old to be brought up to date.") }
        let missed = state.log[(revision - oldest)...]
        guard edit.lengthBefore == missed.first?.edit.lengthBefore ?? state.text.count else {
            throw Refusal("An edit must cover the whole text, from its beginning to its end.")
        }
        let current = missed.reduce(edit) { $0.transformed(after: $1.edit) }
        let text = current.applied(to: state.text)
        guard text.count <= TextEdit.maxLength else { throw Refusal("The document may have \(TextEdit.maxLength) characters at most.") }
        // A text field of a browser would turn it into a line feed, and have another text than everyone else.
        guard !text.contains("\r") else { throw Refusal("Lines end with a line feed alone here.") }
        state.text = text
        state.revision += 1
        state.note(Edited(user: socket.user, edit: current))
        let event = Event.edited(revision: state.revision, user: socket.user, edit: current)
        socket.publish(.json(event), to: "document", includingSelf: true)
    }
}

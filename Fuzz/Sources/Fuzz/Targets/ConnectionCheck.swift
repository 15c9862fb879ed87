// A whole connection: cut in pieces or not, the same comes of the bytes, and the other end understands what was written.

import WebSocketCore

enum ConnectionCheck {
    /// The input: a byte of choices, sizes to cut by, then what the peer sends.
    static func run(_ input: inout FuzzInput) throws(Finding) {
        let choices = input.byte()
        let scene = Scene(
            role: choices & 1 == 0 ? .server : .client,
            limits: choices & 2 == 0 ? Limits() : Limits(maxMessageSize: 64, maxFrameSize: 48, maxFragments: 5),
            allowsCompression: choices & 4 != 0,
            closesAfter: choices & 8 == 0 ? nil : 1 + Int(choices >> 4 & 3))
        let sizes = input.sizes()
        let bytes = input.bytes()
        let whole = scene.record([bytes[...]])
        if let violation = whole.violation { throw Finding(violation) }
        for sizes in [sizes, [1]] where !sizes.isEmpty {
            let cut = scene.record(bytes.pieces(of: sizes))
            if cut != whole { throw Finding("cut by \(sizes), \(scene): \(cut), not \(whole)") }
        }
        try checkOutput(of: whole, scene)
    }

    /// The peer reads what was written without complaint, and gets back each message.
    private static func checkOutput(of recording: Recording, _ scene: Scene) throws(Finding) {
        let peer = Scene(role: scene.role == .server ? .client : .server, allowsCompression: scene.allowsCompression)
        let heard = peer.record([recording.output[...]])
        for case .failure(let error) in heard.entries { throw Finding("the peer can not read the answer: \(error)") }
        guard messages(heard) == messages(recording) else { throw Finding("the peer gets back other messages than it sent") }
        let isCloseSent = recording.entries.contains { entry in
            switch entry {
            case .close, .failure: true
            default: false
            }
        }
        if isCloseSent && heard.entries.last != .close(beganByPeer: true) { throw Finding("the last that was written is not a close") }
    }

    private static func messages(_ recording: Recording) -> [Recording.Entry] {
        recording.entries.filter { if case .message = $0 { true } else { false } }
    }
}

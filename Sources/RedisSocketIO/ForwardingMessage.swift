// What nodes say to each other about requests of long-polling, on a channel of each node, `key-engine.io#node#`. It is Duplex's own: Node.js has
// nothing of the kind.
//
//   0        1     2                 8                   16
//   version  kind  the sender, 6     number, 8 bytes     the rest
//   1        1     poll              chosen by the       the session's id, 20; 1 if gzip is accepted, else 0
//            2     POST              node that asks      the session's id, 20; 1 if it calls itself binary, else 0; the body
//            3     cancel            of the request      the client has gone
//            4     release           of the request      the node that asks shuts down: the poll is to be answered
//            5     answer            of the request      what kind of answer; the payload, of kinds 0 and 1
//            6     ping              0                   is the node there?
//            7     pong              0                   it is

import EngineIO
import NIOCore

/// A message of one node to another.
struct ForwardingMessage: Hashable, Sendable {
    enum Content: Hashable, Sendable {
        case request(EngineIOForwardedRequest, id: UInt64)
        case cancel(id: UInt64)
        case release(id: UInt64)
        case answer(EngineIOForwardedAnswer, id: UInt64)
        case ping
        case pong
    }

    static let version: UInt8 = 1

    /// Whose it is.
    let node: EngineIONode
    let content: Content

    init(node: EngineIONode, _ content: Content) {
        self.node = node
        self.content = content
    }

    // MARK: Writing

    /// The bytes.
    var encoded: ByteBuffer {
        var bytes = ByteBuffer()
        bytes.writeInteger(Self.version)
        switch content {
        case .request(let request, let id):
            switch request.kind {
            case .poll(let acceptsGzip):
                begin(1, id, &bytes)
                bytes.writeString(request.sessionID)
                bytes.writeInteger(acceptsGzip ? 1 : 0, as: UInt8.self)
            case .post(let body, let isBinary):
                begin(2, id, &bytes)
                bytes.writeString(request.sessionID)
                bytes.writeInteger(isBinary ? 1 : 0, as: UInt8.self)
                bytes.writeImmutableBuffer(body)
            }
        case .cancel(let id): begin(3, id, &bytes)
        case .release(let id): begin(4, id, &bytes)
        case .answer(let answer, let id):
            begin(5, id, &bytes)
            bytes.writeInteger(answer.number)
            if case .packets(let payload, _) = answer { bytes.writeImmutableBuffer(payload) }
        case .ping: begin(6, 0, &bytes)
        case .pong: begin(7, 0, &bytes)
        }
        return bytes
    }

    private func begin(_ kind: UInt8, _ id: UInt64, _ bytes: inout ByteBuffer) {
        bytes.writeInteger(kind)
        bytes.writeString(node.description)
        bytes.writeInteger(id)
    }

    // MARK: Reading

    /// Reads what another node has sent.
    ///
    /// - Throws: `ForwardingError` for what no node sends.
    init(_ bytes: ByteBuffer) throws(ForwardingError) {
        var rest = bytes
        guard let version = rest.readInteger(as: UInt8.self), let kind = rest.readInteger(as: UInt8.self),
            let sender = rest.readString(length: 6), let id = rest.readInteger(as: UInt64.self)
        else { throw ForwardingError("it ends early") }
        guard version == Self.version else { throw ForwardingError("its version is \(version), not \(Self.version)") }
        guard let node = EngineIONode(sender) else { throw ForwardingError("its sender is no node") }
        self.init(node: node, try Self.content(kind, id, &rest))
        guard rest.readableBytes == 0 else { throw ForwardingError("something follows its end") }
    }

    private static func content(_ kind: UInt8, _ id: UInt64, _ rest: inout ByteBuffer) throws(ForwardingError) -> Content {
        switch kind {
        case 1, 2: return .request(try request(isPost: kind == 2, &rest), id: id)
        case 3: return .cancel(id: id)
        case 4: return .release(id: id)
        case 5: return .answer(try answer(&rest), id: id)
        case 6, 7:
            guard id == 0 else { throw ForwardingError("it has a number and is of no request") }
            return kind == 6 ? .ping : .pong
        default: throw ForwardingError("its kind is \(kind)")
        }
    }

    private static func request(isPost: Bool, _ rest: inout ByteBuffer) throws(ForwardingError) -> EngineIOForwardedRequest {
        guard let sessionID = rest.readString(length: 20), let flag = rest.readInteger(as: UInt8.self), flag <= 1 else {
            throw ForwardingError("its request is none")
        }
        let kind: EngineIOForwardedRequest.Kind = isPost ? .post(takeAll(&rest), isBinary: flag == 1) : .poll(acceptsGzip: flag == 1)
        guard let request = EngineIOForwardedRequest(sessionID: sessionID, kind) else { throw ForwardingError("its session's id is none") }
        return request
    }

    private static func answer(_ rest: inout ByteBuffer) throws(ForwardingError) -> EngineIOForwardedAnswer {
        guard let number = rest.readInteger(as: UInt8.self) else { throw ForwardingError("its answer is none") }
        switch number {
        case 0, 1: return .packets(takeAll(&rest), isCompressed: number == 1)
        case 2: return .ok
        case 3: return .refused
        case 4: return .badRequest
        case 5: return .contentTooLarge
        case 6: return .sessionUnknown
        default: throw ForwardingError("its answer's kind is \(number)")
        }
    }

    /// A copy: small bodies would hold the large buffer that they were read into.
    private static func takeAll(_ rest: inout ByteBuffer) -> ByteBuffer {
        defer { rest.moveReaderIndex(to: rest.writerIndex) }
        return rest.readableBytes < 16_384 ? ByteBuffer(bytes: rest.readableBytesView) : rest.slice()
    }
}

extension EngineIOForwardedAnswer {
    fileprivate var number: UInt8 {
        switch self {
        case .packets(_, let isCompressed): isCompressed ? 1 : 0
        case .ok: 2
        case .refused: 3
        case .badRequest: 4
        case .contentTooLarge: 5
        // That a node is overloaded is never said to another.
        case .sessionUnknown, .overloaded: 6
        }
    }
}

/// Bytes on a node's channel that no node has sent.
struct ForwardingError: Error, Sendable, Hashable, CustomStringConvertible {
    let description: String

    init(_ what: String) { description = "a message between nodes can not be one: \(what)" }
}

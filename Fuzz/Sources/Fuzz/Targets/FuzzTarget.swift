// The fuzz targets, and what each of them promises for every input. `swift test` replays their corpora through the same code.

/// A promise that did not hold for an input.
struct Finding: Error, Hashable, Sendable, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// What can be fuzzed; each has its corpus in `Fuzz/Corpus/` under its name.
enum FuzzTarget: String, CaseIterable, Sendable {
    /// Both sides of the opening handshake.
    case handshake
    /// The reactor's recogniser of opening handshakes.
    case plainHandshake = "plain-handshake"
    /// The grammar of header fields and origins.
    case headers
    /// Frame headers and their parser.
    case frames
    /// A whole connection, cut in pieces and in one.
    case connection
    /// Compressed messages, and compressing.
    case inflate
    /// The negotiation of compression.
    case deflateParameters = "deflate-parameters"
    /// What Engine.IO clients send by long-polling.
    case engineIOPayload = "engine-io-payload"
    /// Socket.IO's packets in the default format.
    case packets
    /// JSON, into Socket.IO's values.
    case json
    /// MessagePack, values and packets.
    case msgpack
    /// Redis's protocol.
    case resp
    /// What the nodes of a cluster say to each other.
    case cluster

    /// Tries one input.
    ///
    /// - Throws: `Finding` if a promise does not hold. A trap is a finding as well.
    func check(_ input: [UInt8]) throws(Finding) {
        var input = FuzzInput(input)
        switch self {
        case .handshake: try HandshakeCheck.run(&input)
        case .plainHandshake: try PlainHandshakeCheck.run(&input)
        case .headers: try HeadersCheck.run(&input)
        case .frames: try FramesCheck.run(&input)
        case .connection: try ConnectionCheck.run(&input)
        case .inflate: try InflateCheck.run(&input)
        case .deflateParameters: try DeflateParametersCheck.run(&input)
        case .engineIOPayload: try EngineIOPayloadCheck.run(&input)
        case .packets: try SocketIOCheck.runPackets(&input)
        case .json: try SocketIOCheck.runJSON(&input)
        case .msgpack: try SocketIOCheck.runMessagePack(&input)
        case .resp: try RedisCheck.runRESP(&input)
        case .cluster: try RedisCheck.runCluster(&input)
        }
    }
}

/// An input that is taken apart from the front: choices first, then text or bytes.
struct FuzzInput {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    /// The next byte; 0 when there is none.
    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    /// Sizes to cut the bytes that follow into, used in turn: how many, then each.
    mutating func sizes() -> [Int] {
        (0..<byte() % 8).map { _ in Int(byte()) + 1 }
    }

    /// All that is left.
    mutating func bytes() -> [UInt8] {
        defer { rest = [] }
        return Array(rest)
    }

    /// The lines of all that is left, decoded leniently: invalid UTF-8 becomes replacement characters.
    mutating func lines() -> [String] {
        bytes().split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension [UInt8] {
    /// The bytes in pieces of these sizes, used in turn; in one piece if there are none.
    func pieces(of sizes: [Int]) -> [ArraySlice<UInt8>] {
        guard !sizes.isEmpty else { return [self[...]] }
        var pieces: [ArraySlice<UInt8>] = []
        var rest = self[...]
        while !rest.isEmpty {
            pieces.append(rest.prefix(sizes[pieces.count % sizes.count]))
            rest = rest.dropFirst(sizes[(pieces.count - 1) % sizes.count])
        }
        return pieces
    }
}

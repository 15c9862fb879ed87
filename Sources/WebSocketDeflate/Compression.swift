// What a user chooses, and what it costs.

/// How messages are compressed (permessage-deflate, RFC 7692).
///
/// `shared` is the default. It keeps nothing between messages, so that one compressor and one decompressor a thread serve all connections,
/// and a connection costs no memory; long messages, such as documents and lists in JSON, shrink to a quarter and less. What it
/// cannot do is to find in a message what stood in the one before it: short messages hardly shrink, and go uncompressed. `dedicated` can,
/// and pays for it with memory and time on every connection.
public struct Compression: Sendable, Hashable {
    /// Who keeps what.
    enum Kind: Sendable, Hashable {
        case off
        case shared
        case dedicated(windowBits: Int, memoryLevel: Int)
    }

    let kind: Kind
    /// How hard to try, 1 (fast) to 9, as zlib has it.
    public var level: Int
    /// The size in bytes from which messages are compressed; smaller ones go as they are. `Message.compressed(_:)` decides otherwise.
    public var threshold: Int

    /// No compression: it is neither offered nor accepted.
    public static let off = Compression(kind: .off, level: 0, threshold: .max)

    /// Compressors that the connections of a thread share: no memory a connection.
    ///
    /// The level is 1, as the server's time is worth more than the last tenth of the size. Messages under 512 bytes go uncompressed: on its
    /// own, a short message shrinks by less than the work is worth.
    public static let shared = Compression(kind: .shared, level: 1, threshold: 512)

    /// A compressor and a decompressor for each connection, that remember earlier messages: the best ratio, also of short messages.
    ///
    /// They are made when the first message is compressed, and then cost 2^(windowBits + 2) + 2^(memoryLevel + 9) bytes and 6 KiB for
    /// sending, and 2^windowBits bytes and 7 KiB for receiving: 308 KB at 15 and 8, 51 KB at 12 and 5, 17 KB at 9 and 1. A peer that
    /// does not let us limit its window is told to forget its messages instead.
    ///
    /// - Parameters:
    ///   - windowBits: how far back messages refer, as a power of two: 9 to 15, and what is outside counts as the nearest of these.
    ///   - memoryLevel: how much memory finds repetitions: 1 to 9, likewise.
    public static func dedicated(windowBits: Int = 15, memoryLevel: Int = 8) -> Compression {
        let kind = Kind.dedicated(windowBits: min(max(windowBits, 9), 15), memoryLevel: min(max(memoryLevel, 1), 9))
        return Compression(kind: kind, level: 1, threshold: 32)
    }

    /// Whether it is neither offered nor accepted.
    public var isOff: Bool { kind == .off }

    /// The window that a connection keeps; nil if it keeps none.
    var dedicatedWindowBits: Int? {
        if case .dedicated(let windowBits, _) = kind { windowBits } else { nil }
    }

    /// The memory level of a compressor, as zlib has it.
    public var memoryLevel: Int {
        if case .dedicated(_, let memoryLevel) = kind { memoryLevel } else { 8 }
    }
}

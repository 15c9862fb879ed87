// How messages are compressed, as a flag says it.

import ArgumentParser
import WebSocketDeflate

/// `off`, `shared`, `dedicated` or `dedicated:BITS:LEVEL`.
struct CompressionArgument: ExpressibleByArgument, Equatable {
    let compression: Compression
    let defaultValueDescription: String

    static let off = CompressionArgument(compression: .off, defaultValueDescription: "off")
    static let shared = CompressionArgument(compression: .shared, defaultValueDescription: "shared")

    /// What all help texts say of it.
    static let help: String =
        "How messages are compressed: off, shared (nothing is kept between messages), dedicated (each connection remembers its own), or "
        + "dedicated:BITS:LEVEL (with a window of 9 to 15 bits and a memory level of 1 to 9)."
}

extension CompressionArgument {
    init?(argument: String) {
        let parts = argument.split(separator: ":", omittingEmptySubsequences: false)
        switch (parts.first, parts.count) {
        case ("off", 1): self.init(compression: .off, defaultValueDescription: argument)
        case ("shared", 1): self.init(compression: .shared, defaultValueDescription: argument)
        case ("dedicated", 1): self.init(compression: .dedicated(), defaultValueDescription: argument)
        case ("dedicated", 3):
            guard let bits = Int(parts[1]), let level = Int(parts[2]), (9...15).contains(bits), (1...9).contains(level) else { return nil }
            self.init(compression: .dedicated(windowBits: bits, memoryLevel: level), defaultValueDescription: argument)
        default: return nil
        }
    }
}

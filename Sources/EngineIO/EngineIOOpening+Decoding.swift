// The handshake, read: Engine.IO protocol 4, "Handshake". Once a connection, so that Foundation's JSON is fast enough.

import NIOCore

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension EngineIOOpening: Decodable {
    private enum CodingKeys: String, CodingKey { case sid, upgrades, pingInterval, pingTimeout, maxPayload }

    /// Decodes the payload of an open packet.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        sid = try container.decode(String.self, forKey: .sid)
        upgrades = try container.decodeIfPresent([String].self, forKey: .upgrades) ?? []
        pingInterval = try Self.milliseconds(container, .pingInterval)
        pingTimeout = try Self.milliseconds(container, .pingTimeout)
        maxPayload = try container.decodeIfPresent(Int.self, forKey: .maxPayload)
    }

    private static func milliseconds(_ container: KeyedDecodingContainer<CodingKeys>, _ key: CodingKeys) throws -> Duration {
        let number = try container.decode(Double.self, forKey: key)
        // A month is longer than any server waits, and short enough for any clock.
        guard number >= 0, number <= 2_592_000_000 else {
            throw DecodingError.dataCorruptedError(forKey: key, in: container, debugDescription: "not from 0 to a month")
        }
        return .milliseconds(Int64(number))
    }

    init(_ packet: EngineIOPacket) throws(EngineIOClientError) {
        do {
            self = try JSONDecoder().decode(Self.self, from: Data(packet.payload.readableBytesView))
        } catch {
            throw EngineIOClientError(.invalidHandshake, "\(error)")
        }
        guard !sid.isEmpty else { throw EngineIOClientError(.invalidHandshake, "the sid is empty") }
    }
}

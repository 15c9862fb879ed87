// Redis Sentinel: processes that watch a master and its replicas, agree on a new master when the old one is gone, and say which it is
// (redis.io, "Guidelines for Redis clients with support for Redis Sentinel").

/// Where the Sentinels are, and what they call the master.
public struct RedisSentinel: Sendable, Hashable {
    /// Where one Sentinel is.
    public struct Address: Sendable, Hashable, CustomStringConvertible {
        /// The host's name or address.
        public var host: String
        /// The port; 26379 unless another one is named.
        public var port: Int

        /// Makes an address.
        public init(host: String, port: Int = 26_379) {
            self.host = host
            self.port = port
        }

        /// As it stands in a URL.
        public var description: String { "\(host.contains(":") ? "[\(host)]" : host):\(port)" }
    }

    /// The Sentinels, asked one after another until one knows.
    public var addresses: [Address]
    /// The master's name, as the Sentinels are configured.
    public var master: String
    /// The user whom the Sentinels themselves want; nil for the default one.
    public var user: String?
    /// The password that the Sentinels themselves want; nil for none. An address can not hold it.
    public var password: String?

    /// Makes it.
    public init(addresses: [Address], master: String, user: String? = nil, password: String? = nil) {
        self.addresses = addresses
        self.master = master
        self.user = user
        self.password = password
    }
}

// swift-tools-version: 6.2
import PackageDescription

// Fuzzing of WebSocketCore, WebSocketDeflate, the reactor's handshakes, EngineIO's payloads, SocketIO and what comes from Redis. A package of its own, so that the
// library's users and its main build never see it; Scripts/fuzz builds it with the sanitizers and links libFuzzer.
let package = Package(
    name: "fuzz",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(name: "duplex", path: ".."),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
    ],
    targets: [
        .executableTarget(
            name: "Fuzz",
            dependencies: [
                .product(name: "EngineIO", package: "duplex"),
                .product(name: "PubSub", package: "duplex"),
                .product(name: "RedisPubSub", package: "duplex"),
                .product(name: "RedisSocketIO", package: "duplex"),
                .product(name: "SocketIO", package: "duplex"),
                .product(name: "WebSocketCore", package: "duplex"),
                .product(name: "WebSocketDeflate", package: "duplex"),
                .product(name: "WebSockets", package: "duplex"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras"),
            ],
            swiftSettings: [
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("InternalImportsByDefault"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            ]
        )
    ],
    swiftLanguageModes: [.v6]
)

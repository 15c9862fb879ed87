// swift-tools-version: 6.2
import PackageDescription

// Counts the heap allocations of WebSocketCore for each message; Scripts/allocations runs it.
let package = Package(
    name: "allocations",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "duplex", path: "../..")],
    targets: [
        .target(name: "CAllocationCounter"),
        .executableTarget(
            name: "Allocations",
            dependencies: ["CAllocationCounter", .product(name: "WebSocketCore", package: "duplex")]
        ),
    ],
    swiftLanguageModes: [.v6]
)

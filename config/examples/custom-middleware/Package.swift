// swift-tools-version: 6.2
// A Sluice with two middlewares of its own. docs/middleware.md explains them.
import PackageDescription

let package = Package(
    name: "custom-middleware",
    dependencies: [
        // The checkout that this example is part of. Elsewhere:
        //   .package(url: "https://…/sluice.git", revision: "…")
        .package(name: "sluice", path: "../../..")
    ],
    targets: [
        .executableTarget(
            name: "my-gateway", dependencies: [.product(name: "Sluice", package: "sluice")],
            swiftSettings: [.swiftLanguageMode(.v6)])
    ]
)

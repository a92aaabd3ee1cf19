// swift-tools-version: 6.2
// The targets stand in the order in which a request meets them. What may import what is checked by scripts/check-layers.
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableExperimentalFeature("Lifetimes"),
    .unsafeFlags(["-cross-module-optimization", "-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

func core(_ name: String, _ dependencies: [String] = []) -> Target {
    .target(
        name: name, dependencies: dependencies.map { .init(stringLiteral: $0) }, path: "Sources/Core/\(name)",
        swiftSettings: strict)
}

func io(_ name: String, _ dependencies: [String]) -> Target {
    .target(
        name: name, dependencies: dependencies.map { .init(stringLiteral: $0) }, path: "Sources/IO/\(name)",
        swiftSettings: strict)
}

func tests(_ name: String, _ folder: String, _ dependencies: [String], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies.map { .init(stringLiteral: $0) }, path: "Tests/\(folder)/\(name)",
        resources: resources, swiftSettings: strict)
}

let package = Package(
    name: "sluice",
    products: [
        .executable(name: "sluice", targets: ["sluice"]),
        .library(name: "Sluice", targets: ["SluiceDaemon"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
    ],
    targets: [
        // C: headers and shims only.
        .target(name: "CLinux", path: "Sources/C/CLinux"),
        .target(name: "CScan", path: "Sources/C/CScan"),
        .systemLibrary(name: "CYAML", path: "Sources/C/CYAML"),
        .systemLibrary(name: "CNghttp2", path: "Sources/C/CNghttp2"),
        .target(name: "COpenSSL", path: "Sources/C/COpenSSL"),

        // Core: no descriptors, no clock, no threads. Bytes and events in, actions out.
        core("Primitives", ["CScan"]),
        core("HTTPMessages", ["Primitives"]),
        core("HTTP1", ["HTTPMessages", "Primitives"]),
        core("HTTP2", ["CNghttp2", "HTTP1", "HTTPMessages", "Primitives"]),
        core("Routing", ["HTTPMessages", "Primitives"]),
        core("ProxyProtocol", ["Primitives"]),
        core("Pipeline", ["HTTPMessages", "Primitives"]),
        core("Crypto", ["COpenSSL", "Primitives"]),
        core("WebSocket", ["Crypto", "HTTPMessages", "Primitives"]),
        core("GRPC", ["HTTPMessages", "Primitives"]),
        core("Balancing", ["Primitives"]),
        core("Resilience", ["Primitives"]),
        core("Health", ["Primitives"]),
        core("Pooling", ["Primitives"]),
        core("Exchange", ["Resilience", "HTTPMessages", "Primitives"]),
        core("Configuration", ["Balancing", "Resilience", "Health", "Primitives"]),
        core("Telemetry", ["HTTPMessages", "Health", "Resilience", "Primitives"]),

        // IO: owns descriptors and the clock, carries out the actions.
        io("Reactor", ["CLinux", "Primitives"]),
        io("Logs", ["Reactor", "Telemetry", "Primitives"]),
        io("ConfigurationFile", ["CYAML", "Configuration"]),
        io("TLS", ["COpenSSL", "Telemetry", "Primitives"]),
        io("Multiplexing", ["HTTP2", "Primitives"]),
        io("Downstream", ["TLS", "Multiplexing", "Pipeline", "Reactor", "Telemetry", "Primitives"]),
        io(
            "Upstream",
            [
                "TLS", "Multiplexing", "HTTP2", "Reactor", "Pooling", "Balancing", "Health", "Resilience", "Telemetry",
                "Primitives",
            ]),
        io(
            "HealthChecks",
            [
                "Upstream", "TLS", "Reactor", "GRPC", "HTTP2", "HTTP1", "HTTPMessages", "Health", "Resilience", "Balancing",
                "Configuration", "Primitives",
            ]),
        io(
            "Proxy",
            [
                "Downstream", "Upstream", "Reactor", "ProxyProtocol", "HTTP1", "HTTPMessages", "Primitives", "Exchange",
                "Pooling", "Balancing", "Resilience", "Health",
                "Pipeline", "Routing", "Configuration", "Telemetry", "Logs", "TLS", "HTTP2", "Multiplexing", "WebSocket", "GRPC",
            ]),
        io(
            "Admin",
            [
                "Proxy", "HTTP1", "HTTPMessages", "Primitives", "Pipeline", "Routing", "ConfigurationFile", "Configuration",
                "Telemetry", "Upstream", "Pooling", "Reactor", "Health", "Resilience",
            ]),
        io(
            "Control",
            [
                "Admin", "Proxy", "HealthChecks", "HTTPMessages", "Balancing", "Health", "Resilience", "Pooling", "Primitives",
                "Logs", "Upstream",
                "Downstream", "Pipeline",
                "Routing", "ConfigurationFile", "Reactor", "Configuration", "Telemetry", "TLS", "HTTP2", "WebSocket",
            ]),

        // The other end of the admin listener, for the command line.
        io(
            "AdminClient",
            ["ConfigurationFile", "Configuration", "HTTP1", "HTTPMessages", "TLS", "Reactor", "Telemetry", "Primitives"]),

        .target(
            name: "SluiceDaemon",
            dependencies: [
                "AdminClient", "Admin", "Control", "ConfigurationFile", "Configuration", "Pipeline", "HTTPMessages", "Primitives",
                "Reactor",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Sources/Daemon", swiftSettings: strict),
        .executableTarget(name: "sluice", dependencies: ["SluiceDaemon"], path: "Sources/sluice", swiftSettings: strict),

        tests("PrimitivesTests", "Core", ["Primitives", "CScan"]),
        tests("HTTPMessagesTests", "Core", ["HTTPMessages"]),
        tests("HTTP1Tests", "Core", ["HTTP1"]),
        tests("HTTP2Tests", "Core", ["HTTP2", "CNghttp2", "HTTP1", "HTTPMessages", "Primitives"]),
        tests("RoutingTests", "Core", ["Routing", "HTTP1"]),
        tests("PipelineTests", "Core", ["Pipeline", "HTTP1"]),
        tests("CryptoTests", "Core", ["Crypto", "Primitives"]),
        tests("WebSocketTests", "Core", ["WebSocket", "HTTP1", "HTTPMessages", "Primitives"]),
        tests("GRPCTests", "Core", ["GRPC", "HTTPMessages", "Primitives"]),
        tests("BalancingTests", "Core", ["Balancing", "Primitives"]),
        tests("ResilienceTests", "Core", ["Resilience", "Primitives"]),
        tests("HealthTests", "Core", ["Health", "Primitives"]),
        tests("ModelTests", "Core", ["Balancing", "Resilience", "Health", "Primitives"]),
        tests("PoolingTests", "Core", ["Pooling", "Balancing"]),
        tests("ExchangeTests", "Core", ["Exchange", "Resilience"]),
        tests(
            "ConfigurationTests", "Core",
            ["Configuration", "ConfigurationFile", "Balancing", "Health", "Resilience", "Primitives"]),
        tests("TelemetryTests", "Core", ["Telemetry", "Health", "Resilience"]),
        tests("ProxyProtocolTests", "Core", ["ProxyProtocol"]),
        tests("ReactorTests", "IO", ["Reactor", "Downstream", "Logs", "Primitives", "CLinux"]),
        tests(
            "HealthChecksTests", "IO",
            [
                "HealthChecks", "Upstream", "TLS", "Reactor", "GRPC", "HTTP2", "HTTPMessages", "Health", "Resilience",
                "Configuration", "Primitives", "CLinux",
            ]),
        tests("TLSTests", "IO", ["TLS", "COpenSSL", "Telemetry", "Primitives"]),
        tests("LogsTests", "IO", ["Logs", "Telemetry", "Primitives", "Reactor"]),
        tests(
            "AdminTests", "IO",
            [
                "Admin", "Control", "Proxy", "HTTP1", "HTTPMessages", "Primitives", "Routing", "Pipeline", "Telemetry",
                "ConfigurationFile", "Configuration", "Upstream", "Balancing", "Health", "Resilience",
            ]),
        tests("AdminClientTests", "IO", ["AdminClient", "Configuration", "TLS", "Reactor", "Telemetry", "Primitives"]),
        tests(
            "SimulationTests", "Simulation",
            [
                "Proxy", "Control", "HealthChecks", "ConfigurationFile", "Pipeline", "HTTPMessages", "Telemetry", "Logs",
                "Reactor", "Upstream", "Downstream", "Pooling", "Balancing", "Resilience", "Health", "Primitives", "CLinux",
            ]),
    ]
)

// The targets of scripts/fuzz, only where the environment asks for them: their flags are for no other build.
if Context.environment["SLUICE_FUZZ"] != nil {
    for target in package.targets where target.type == .regular {
        if target.path?.hasPrefix("Sources/C/") == true {
            target.cSettings = (target.cSettings ?? []) + [.unsafeFlags(["-fsanitize=fuzzer-no-link,address"])]
        } else {
            target.swiftSettings = (target.swiftSettings ?? []) + [.unsafeFlags(["-sanitize=fuzzer,address"])]
        }
    }
    func fuzzer(_ name: String, _ dependencies: [String]) -> Target {
        .executableTarget(
            name: "Fuzz\(name)", dependencies: (dependencies + ["FuzzSupport", "Primitives"]).map { .init(stringLiteral: $0) },
            path: "Tests/Fuzz/\(name)",
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library", "-sanitize=fuzzer,address"])],
            linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])])
    }
    package.targets += [
        .target(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
        .target(
            name: "FuzzSupport", dependencies: ["CFuzzer", "HTTPMessages", "Primitives"], path: "Tests/Fuzz/Support",
            swiftSettings: strict + [.unsafeFlags(["-sanitize=fuzzer,address"])]),
        fuzzer("RequestHead", ["HTTP1", "HTTPMessages"]),
        fuzzer("ResponseHead", ["HTTP1", "HTTPMessages"]),
        fuzzer("Chunked", ["HTTP1", "HTTPMessages"]),
        fuzzer("HTTP2Session", ["HTTP2", "HTTP1", "HTTPMessages"]),
        fuzzer("ProxyHeader", ["ProxyProtocol"]),
        fuzzer("Target", ["HTTP1", "HTTPMessages", "Routing"]),
        fuzzer("Configuration", ["Configuration", "ConfigurationFile", "Control"]),
        fuzzer("Text", ["HTTP1", "HTTPMessages", "Routing"]),
        fuzzer("FrameScanner", ["WebSocket"]),
        fuzzer("HealthMessage", ["GRPC"]),
    ]
}

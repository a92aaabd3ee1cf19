import ConfigurationFile
import Pipeline
import Primitives
import Proxy
import Telemetry

@testable import Admin
@testable import Control

struct SetupError: Error { let text: String }

/// The snapshot of a configuration, without any worker.
func snapshot(
    _ text: String, stages: [String: [Stage]] = [:], types: [MiddlewareType] = []
) throws -> GatewaySnapshot {
    let loaded = ConfigurationLoader.load(text: text, name: "t.yaml", environment: [:])
    guard let configuration = loaded.configuration else { throw SetupError(text: "\(loaded.errors)") }
    var registry = InstanceRegistry(workers: 1)
    do {
        return try SnapshotBuilder(
            number: 7, configuration: configuration, places: loaded.places, generatedName: "sluice-test", version: "1.2.3",
            seed: 5, middlewareTypes: types, stages: stages
        ).build(&registry, labels: .empty())
    } catch {
        throw SetupError(text: "\(error)")
    }
}

/// A listener and a service, and behind them the routes that a test is about.
func routed(_ routes: String, middlewares: String = "{}", stages: [String: [Stage]] = [:]) throws -> GatewaySnapshot {
    try snapshot(
        """
        server: {via: gw, trusted_proxies: [10.0.0.0/8]}
        listeners:
          - {name: web, address: "127.0.0.1:8000"}
          - {name: small, address: "127.0.0.1:8001", limits: {request_target_bytes: 64, request_body: 100}}
        services:
          users:
            instances:
              - {url: "http://10.1.0.5:8080", weight: 2, version: v1}
              - {url: "http://10.1.0.6:8080", version: v2}
              - {url: "http://10.1.0.7:8080", weight: 0}
        middlewares: \(middlewares)
        routes:
        \(routes.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n"))
        """, stages: stages)
}

/// The request that a body describes.
func ask(_ body: String) throws -> ExplainRequest { try ExplainRequest(parsing: Array(body.utf8)) }

func explain(_ body: String, _ snapshot: GatewaySnapshot) throws -> Report { Explanation.make(try ask(body), snapshot) }

/// Ways into a value; what is not there is null.
extension JSONValue {
    subscript(_ name: String) -> JSONValue {
        guard case .object(let members) = self else { return .null }
        return members.first { $0.0 == name }?.1 ?? .null
    }

    subscript(_ index: Int) -> JSONValue { elements.indices.contains(index) ? elements[index] : .null }

    var elements: [JSONValue] {
        if case .array(let elements) = self { elements } else { [] }
    }

    var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    var strings: [String] { elements.compactMap(\.string) }

    var number: Int? {
        if case .number(let number) = self { number } else { nil }
    }

    var isNull: Bool {
        if case .null = self { true } else { false }
    }
}

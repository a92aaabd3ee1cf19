import Balancing
@testable import Configuration
import ConfigurationFile
import Health
import Primitives
import Resilience
import Testing

/// What a service has that says nothing, in the tables, in the guide and in force.
struct ServiceDefaultTests {
    private static var blocks: [(name: String, shape: ObjectShape)] {
        [
            ("load_balancer", Schema.loadBalancer), ("health_check", Schema.healthCheck),
            ("outlier_detection", Schema.outlierDetection), ("circuit_breaker", Schema.circuitBreaker(ofRoute: false)),
            ("retry", Schema.retry), ("adaptive_concurrency", Schema.adaptiveConcurrency), ("fallback", Schema.fallback),
            ("timeouts", Schema.timeouts), ("pool", Schema.pool), ("queue", Schema.queue),
        ]
    }

    private func service(_ blocks: String, timeouts: String = "") throws -> ServiceConfiguration {
        let result = loadRest(
            "services: {s: {instances: [{url: \"http://h\"}]\(timeouts)\(blocks)}}\nroutes: [{name: r, match: {path: /}, service: s}]\n"
        )
        #expect(lines(result) == [], "\(blocks)")
        return try #require(result.configuration?.services.first)
    }

    @Test func `a service that says nothing has the policies' own defaults, no checks and no limit of its own`() throws {
        let service = try service("")
        #expect(service == ServiceConfiguration(name: "s", instances: [InstanceConfiguration(address: .name("h", port: 80))]))
        #expect(service.balancer == Balancer.Policy())
        #expect(service.hashSource == nil)
        #expect(service.sticky == nil)
        #expect(!service.health.hasChecks)
        #expect(service.check == nil)
        #expect(service.outliers == OutlierDetector.Policy())
        #expect(service.breaker == BreakerPolicy())
        #expect(service.retry == RetryConfiguration())
        #expect(service.retry.policy == RetryPolicy())
        #expect(service.retry.budget == RetryBudget.Policy())
        #expect(!service.retry.trustsIdempotencyKey)
        #expect(service.adaptiveConcurrency == nil)
        #expect(service.fallback == nil)
    }

    @Test func `blocks that are written and say nothing have the policies' own defaults`() throws {
        let service = try service(
            ", load_balancer: {}, health_check: {}, outlier_detection: {}, circuit_breaker: {}, retry: {}, adaptive_concurrency: {}"
        )
        var expected = ServiceConfiguration(name: "s", instances: service.instances)
        expected.health = HealthPolicy()
        expected.check = .http(target: "/health", host: nil, CheckExpectation())
        expected.adaptiveConcurrency = ConcurrencyLimit.Policy()
        #expect(service == expected)
        let sticky = try self.service(", load_balancer: {sticky: {cookie: c}}").sticky
        #expect(sticky == StickyConfiguration(cookie: "c"))
        #expect(try self.service(", fallback: {status: 200}").fallback == .response(FixedResponse()))
    }

    @Test func `every key written with its default in the tables changes nothing`() throws {
        /// Written as the tables have it; a default that only counts beside another key has that key with it.
        func written(_ shape: ObjectShape, and more: String = "") -> String {
            let keys = shape.keys.filter { !$0.defaultText.isEmpty }.map { "\($0.name): \($0.defaultText)" }
            return "{\((keys + (more.isEmpty ? [] : [more])).joined(separator: ", "))}"
        }
        for (name, shape) in Self.blocks {
            var shape = shape
            var (given, bare) = ("", "")
            switch name {
            case "load_balancer":
                shape.keys.removeAll { $0.name == "bound" }
                #expect(
                    try service(", load_balancer: {algorithm: consistent_hash, hash_on: path, bound: 1.25}")
                        == service(", load_balancer: {algorithm: consistent_hash, hash_on: path}"))
                bare = "sticky: {cookie: c}"
                given = "sticky: \(written(Schema.sticky, and: "cookie: c"))"
            case "circuit_breaker":
                (given, bare) = ("slow_call_duration: 1s", "slow_call_duration: 1s")
            case "fallback":
                bare = "status: 200"
            default:
                break
            }
            #expect(shape.keys.count { !$0.defaultText.isEmpty } >= 3)
            #expect(
                try service(", \(name): \(written(shape, and: given))") == service(", \(name): {\(bare)}"), "\(name)")
        }
        let text = { (keys: String) in
            "services: {s: {instances: [{url: \"http://h\"}]}}\nroutes: [{name: r, match: {path: /}, service: s\(keys)}]\n"
        }
        let breaker = written(Schema.circuitBreaker(ofRoute: true), and: "slow_call_duration: 1s")
        let full = loadRest(text(", priority: default, circuit_breaker: \(breaker)")).configuration
        #expect(full != nil && full == loadRest(text(", circuit_breaker: {slow_call_duration: 1s}")).configuration)
    }

    @Test func `the guide and the tables name the same keys of these blocks, with the same defaults`() throws {
        var section = ""
        var found: [String: [String: String]] = [:]
        for line in readText("\(repository)/docs/configuration.md").split(separator: "\n") {
            if line.hasPrefix("#") { section = line.drop { $0 == "#" || $0 == " " }.description }
            let cells = line.split(separator: "|").map { $0.trimmed }
            guard line.hasPrefix("| `"), cells.count >= 3, Self.blocks.contains(where: { $0.name == section }) else { continue }
            found[section, default: [:]][cells[0].unticked] = cells[1]
        }
        for (name, shape) in Self.blocks.prefix(6) {
            var shape = shape
            let guide = try #require(found[name], "\(name)")
            shape.keys.removeAll { $0.name == "enabled" || $0.name == "sticky" }
            if name == "load_balancer" {
                for var key in Schema.sticky.keys where key.name != "enabled" {
                    key.name = "sticky." + key.name
                    shape.keys.append(key)
                }
            }
            for key in shape.keys {
                let said = try #require(guide[key.name], "\(name).\(key.name)")
                guard !key.defaultText.isEmpty else {
                    #expect(!said.hasPrefix("`") || key.isRequired, "\(name).\(key.name)")
                    continue
                }
                #expect(read(said.unticked, key) == read(key.defaultText, key), "\(name).\(key.name): \(said)")
            }
        }
    }

    /// A default as the value that it stands for.
    private func read(_ text: String, _ key: Key) -> String {
        let (root, _) = YAMLReader.read(Array("v: \(text)\n".utf8), file: "d")
        guard case .mapping(let entries)? = root?.content, let node = entries.first?.value else { return "" }
        var validator = Validator(diagnostics: DiagnosticList(), source: NoSecrets())
        let value = validator.validate(node, as: key.shape, at: .root)
        #expect(validator.diagnostics.sorted() == [], "\(key.name)")
        return value.elements.map { "\($0.content)" }.joined(separator: " ")
    }

    private struct NoSecrets: SecretSource {
        var environmentNames: [String] { [] }

        func environment(_ name: String) -> String? { nil }
        func file(_ path: String) -> Result<SecretFile, SecretFileFailure> { .failure(SecretFileFailure(reason: "none")) }
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = self
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

extension String {
    fileprivate var unticked: String { hasPrefix("`") && hasSuffix("`") ? String(dropFirst().dropLast()) : self }
}

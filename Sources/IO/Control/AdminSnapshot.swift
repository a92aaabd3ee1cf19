import Configuration
import Pipeline
import Primitives
import Proxy
import Reactor
import Routing
import Telemetry

/// The admin listener as a gateway of its own: three routes that need no service.
enum AdminSnapshot {
    static func build(
        _ configuration: GatewayConfiguration, number: Int, generatedName: String, version: String
    ) throws(BuildError) -> GatewaySnapshot {
        var admin = GatewayConfiguration()
        admin.server = configuration.server
        admin.accessLog.output = .off
        admin.listeners = [ListenerConfiguration(name: "admin", address: configuration.admin.address)]
        let everywhere = ["0.0.0.0/0", "::/0"].compactMap { AddressBlock($0) }
        admin.routes = [
            RouteConfiguration(name: "health", match: RouteMatch(path: "/health"), action: .health),
            RouteConfiguration(name: "ready", match: RouteMatch(path: "/ready"), action: .ready),
            RouteConfiguration(name: "metrics", match: RouteMatch(path: "/metrics"), action: .metrics(allow: everywhere)),
        ]
        var none = InstanceRegistry()
        return try SnapshotBuilder(
            number: number, configuration: admin, places: LoadResult.Places(), generatedName: generatedName, version: version,
            seed: randomSeed(), adminToken: configuration.admin.token.bytes
        ).build(&none, labels: .empty())
    }
}

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
            route("health", .health), route("ready", .ready), route("metrics", .metrics(allow: everywhere)),
        ]
        var none = InstanceRegistry()
        return try SnapshotBuilder(
            number: number, configuration: admin, places: LoadResult.Places(), generatedName: generatedName, version: version,
            seed: randomSeed(), adminToken: configuration.admin.token.bytes
        ).build(&none, labels: .empty())
    }

    private static func route(_ name: String, _ action: RouteAction) -> RouteConfiguration {
        var match = RouteMatch(path: "/\(name)")
        match.methods = ["GET"]
        return RouteConfiguration(name: name, match: match, action: action)
    }
}

import Configuration
import Pipeline
import Primitives
import Proxy
import Reactor
import Routing
import Telemetry

/// The admin listener as a gateway of its own: routes that need no service, behind a guard.
enum AdminSnapshot {
    /// Connections of the listener in all.
    static var connectionsMax: Int { 256 }
    private static var connectionsPerClientMax: Int { 64 }

    static func build(
        _ configuration: GatewayConfiguration, places: LoadResult.Places, number: Int, generatedName: String, version: String,
        tls: TLSStore = TLSStore()
    ) throws(BuildError) -> GatewaySnapshot {
        var admin = GatewayConfiguration()
        admin.server = configuration.server
        admin.accessLog.output = .off
        var limits = configuration.limits
        // One client must not be able to keep all others out.
        limits.connectionsPerClient = min(limits.connectionsPerClient, connectionsPerClientMax)
        var listener = ListenerConfiguration(name: "admin", address: configuration.admin.address, limits: limits)
        if configuration.admin.enabled { listener.tls = configuration.admin.tls }
        listener.protocols = .standard(overTLS: listener.tls != nil)
        admin.listeners = [listener]
        let everywhere = ["0.0.0.0/0", "::/0"].compactMap { AddressBlock($0) }
        admin.routes = [
            route("health", "/health", ["GET"], .health), route("ready", "/ready", ["GET"], .ready),
        ]
        // The API itself says which of its paths there are, and reads names and ids with slashes in them.
        var api = route("api", "/*", [], .respond(FixedResponse()))
        api.path.encodedSlash = .keep
        admin.routes.append(api)
        if configuration.admin.metrics {
            admin.routes.append(route("metrics", "/metrics", ["GET"], .metrics(allow: everywhere)))
        }
        var none = InstanceRegistry(workers: 1)
        var adminPlaces = LoadResult.Places()
        adminPlaces.listenerTLS = [places.adminTLS]
        var builder = SnapshotBuilder(
            number: number, configuration: admin, places: adminPlaces, generatedName: generatedName, version: version,
            seed: randomSeed(), tls: tls)
        builder.guardStage = .custom(AdminGuard(token: configuration.admin.token.bytes, hosts: configuration.admin.hosts))
        builder.actions = ["api": .administer]
        return try builder.build(&none, labels: .empty())
    }

    private static func route(
        _ name: String, _ path: String, _ methods: [String], _ action: RouteAction
    ) -> RouteConfiguration {
        var match = RouteMatch(path: path)
        match.methods = methods
        var route = RouteConfiguration(name: name, match: match, action: action)
        // Bodies are configurations, and have a limit of their own.
        route.requestBody = .unlimited
        return route
    }
}

import Configuration
import Pipeline
import Telemetry

/// The checks that need more than the text: do the routes go together, do the header rules compile. Opens nothing.
public enum ConfigurationCheck {
    /// - Parameter middlewares: the types that `custom:` may name.
    public static func run(
        _ configuration: GatewayConfiguration, _ places: LoadResult.Places, middlewares: [MiddlewareType] = []
    ) -> [Diagnostic] {
        var registry = InstanceRegistry(workers: 1)
        do {
            _ = try SnapshotBuilder(
                number: 1, configuration: configuration, places: places, generatedName: "sluice", version: "", seed: 0,
                middlewareTypes: middlewares
            ).build(&registry, labels: .empty())
            return []
        } catch {
            return error.diagnostics
        }
    }
}

import Configuration
import Pipeline
import Telemetry

/// The checks that need more than the text: do the routes go together, do the header rules compile, do certificates and keys fit. Reads the
/// files of those, and opens nothing else.
public enum ConfigurationCheck {
    /// - Parameter middlewares: the types that `custom:` may name.
    public static func run(
        _ configuration: GatewayConfiguration, _ places: LoadResult.Places, middlewares: [MiddlewareType] = []
    ) -> [Diagnostic] {
        var problems: [Diagnostic] = []
        do {
            var registry = InstanceRegistry(workers: 1)
            _ = try SnapshotBuilder(
                number: 1, configuration: configuration, places: places, generatedName: "sluice", version: "", seed: 0,
                middlewareTypes: middlewares
            ).build(&registry, labels: .empty())
        } catch {
            problems += error.diagnostics
        }
        do {
            _ = try AdminSnapshot.build(configuration, places: places, number: 1, generatedName: "sluice", version: "")
        } catch {
            problems += error.diagnostics
        }
        return problems
    }
}

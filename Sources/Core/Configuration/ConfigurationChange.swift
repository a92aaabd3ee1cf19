/// One difference between two configurations.
public struct ConfigurationChange: Equatable, Sendable {
    public enum Kind: String, Sendable, Equatable {
        case added, removed, changed
    }

    public var kind: Kind
    /// As the file writes it, with names in the place of numbers: `services.users.timeouts.response`, `routes.live.match.path`.
    public var path: String
    /// Nil where there was none, where a whole block was added or removed, and for secrets.
    public var from: String?
    public var to: String?

    public init(kind: Kind, path: String, from: String? = nil, to: String? = nil) {
        self.kind = kind
        self.path = path
        self.from = from
        self.to = to
    }

    /// In the order of the file: single values, then listeners, middlewares, services and routes, each by its name. A value that
    /// a listener or a route only takes over is told once, where it stands.
    public static func list(from old: GatewayConfiguration, to new: GatewayConfiguration) -> [ConfigurationChange] {
        var changes = ConfigurationComparison(old, new)
        changes.run()
        return changes.list
    }
}

extension ConfigurationChange: CustomStringConvertible {
    /// `+ routes.new`, `- services.old`, `~ server.log_level: info -> debug`; without the values where they are not to be shown.
    public var description: String {
        switch (kind, from, to) {
        case (.added, _, let to?): "+ \(path): \(to)"
        case (.added, _, nil): "+ \(path)"
        case (.removed, let from?, _): "- \(path): \(from)"
        case (.removed, nil, _): "- \(path)"
        case (.changed, let from?, let to?): "~ \(path): \(from) -> \(to)"
        case (.changed, _, _): "~ \(path)"
        }
    }
}

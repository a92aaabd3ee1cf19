import Primitives

/// Who may open a tunnel through a route, and how long one lives without a byte.
public struct WebSocketConfiguration: Sendable, Equatable {
    /// In lower case: `https://example.com`, `https://*.example.com`, `*`, `null`. Empty: the request's own host alone. A request
    /// without `Origin` comes from no browser and is let in.
    public var origins: [String] = []
    /// Of any protocol that the route lets clients change to, without a byte either way.
    public var idleTimeout = Defaults.tunnelIdleTimeout

    public init() {}
}

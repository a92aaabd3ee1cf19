/// A route that came into question for a request and does not serve it.
public struct RouteCandidate: Equatable, Sendable {
    /// The index of the route in `RouteTable.rules`.
    public var route: Int
    /// What of the route did not fit; never empty.
    public var misfits: [RouteMisfit]
}

/// A condition of a route that a request does not meet.
public enum RouteMisfit: Equatable, Sendable {
    case host
    case path
    case method
    case header(ValueMatch)
    case query(ValueMatch)
}

/// How a look-up came out, and which routes it passed over.
public struct RouteTrace: Sendable {
    public var match: RouteMatch
    /// The pattern by which the route's host fits, where a route was found.
    public var host: HostPattern?
    /// The nearest first: those that fit in host and path and would have been preferred, then those that fit almost.
    public var candidates: [RouteCandidate]
}

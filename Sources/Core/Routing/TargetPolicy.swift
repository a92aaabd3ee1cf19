import HTTPMessages

/// What a listener asks of request targets, before any route is known.
public struct TargetPolicy: Sendable {
    /// What an absolute target must say (RFC 9110 §7.4).
    public var scheme: Scheme
    /// Whether `//` is read as `/`, for matching and for the upstream alike; otherwise both keep it.
    public var mergeSlashes: Bool

    public init(scheme: Scheme = .http, mergeSlashes: Bool = false) {
        self.scheme = scheme
        self.mergeSlashes = mergeSlashes
    }
}

/// What becomes of `%2F` and `%5C` in a path that a route took. A raw backslash is refused always.
public enum EncodedSlashRule: Sendable {
    /// 400: a backend may decode it and see another path than the one that was matched.
    case reject
    /// Matched and forwarded as it is; never a separator here.
    case keep
    /// `%2F` becomes a separator, provided that the same route still takes the path; `%5C` is refused.
    case decode
}

/// How much a request matters when not all can be served.
public enum RequestPriority: UInt8, Sendable, Hashable, CaseIterable {
    /// Shed first.
    case bulk
    case standard
    /// Never shed.
    case critical

    /// As in the configuration and in metrics.
    public var name: StaticString {
        switch self {
        case .bulk: "bulk"
        case .standard: "default"
        case .critical: "critical"
        }
    }
}

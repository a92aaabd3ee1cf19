import HTTPMessages

extension UpstreamFailure {
    /// What the client gets when nothing of an answer has reached it, and what the log calls it (behaviour contract: 502 when the
    /// backend spoke wrongly or died, 503 when the gateway chose not to send, 504 when it ran out of patience).
    public var refusal: Refusal {
        switch self {
        case .noInstance: .noHealthyInstance
        case .queueFull: .queueFull
        case .queueTimedOut: .queueTimeout
        case .unresolved: .dnsFailed
        case .connectRefused: .connectRefused
        case .connectTimedOut: .connectTimeout
        case .connectFailed: .connectFailed
        case .tlsFailed: .tlsFailed
        case .closed, .streamRefused: .upstreamReset
        case .timedOut: .upstreamTimeout
        case .malformed: .upstreamMalformed
        case .headTooLarge: .upstreamHeaderTooLarge
        case .truncated: .upstreamTruncated
        }
    }
}

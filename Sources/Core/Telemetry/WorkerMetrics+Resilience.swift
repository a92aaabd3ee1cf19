import Resilience

public enum FallbackKind: UInt8, Sendable, CaseIterable {
    case `static`, service
}

extension WorkerMetrics {
    public mutating func breakerRejected(_ service: Label) {}
    public mutating func fallbackServed(_ service: Label, _ kind: FallbackKind) {}
    public mutating func shed(_ priority: RequestPriority) {}
    public mutating func concurrencyLimited(_ service: Label) {}
    public mutating func passiveEvidence(_ service: Label, failed: Bool) {}
}

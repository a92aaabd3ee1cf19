/// What a session has seen so far, for metrics. Numbers only grow.
public struct HTTP2Counters: Equatable, Sendable {
    /// Streams over the limit, answered with REFUSED_STREAM.
    public var refusedStreams: UInt64 = 0
    /// Malformed messages, answered with RST_STREAM (RFC 9113 §8.1.1).
    public var malformedMessages: UInt64 = 0
    /// Heads and trailers over the limits.
    public var headersTooLarge: UInt64 = 0
    public var resetsReceived: UInt64 = 0
    public var resetsSent: UInt64 = 0
    /// Streams whose last bytes the peer did not take in time.
    public var stalledStreams: UInt64 = 0
    /// Tokens taken from the budget of control frames.
    public var glitches: UInt64 = 0
}

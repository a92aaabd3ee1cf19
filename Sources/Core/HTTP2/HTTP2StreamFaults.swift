/// Streams of a client that the session has reset for what the client did, since they were taken.
public struct HTTP2StreamFaults: Equatable, Sendable {
    /// Streams over the limit, answered with REFUSED_STREAM.
    public var refused: UInt64 = 0
    /// Trailers over the limits. A head over them is the owner's to answer.
    public var tooLarge: UInt64 = 0
    /// Streams whose last bytes the client did not take in time.
    public var stalled: UInt64 = 0
    /// Malformed messages (RFC 9113 §8.1.1), and frames that the state of their stream does not allow (§5.1).
    public var malformed: UInt64 = 0
}

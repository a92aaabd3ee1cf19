/// Why a stream of a client was reset, of a connection that goes on.
public enum StreamFault: UInt8, Sendable, CaseIterable {
    /// More at once than the connection may have.
    case refused
    /// Trailers over the limits; a head over them is answered.
    case headersTooLarge
    /// The client read nothing of what was left for it.
    case stalled
    /// A malformed request, or a frame that the stream's state does not allow (RFC 9113 §5.1, §8.1.1).
    case malformed

    /// As in metrics and logs.
    public var name: StaticString {
        switch self {
        case .refused: "stream_refused"
        case .headersTooLarge: "stream_headers_too_large"
        case .stalled: "stream_stalled"
        case .malformed: "stream_malformed"
        }
    }
}

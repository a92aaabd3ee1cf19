/// Why an HTTP/2 connection was ended before its time.
public enum SessionFault: UInt8, Sendable, CaseIterable {
    /// The first bytes were not the client's preface (RFC 9113 §3.4).
    case badPreface
    /// A rule of the protocol was broken for which there is no narrower word.
    case protocolError
    case internalError
    case flowControlError
    case frameSizeError
    /// The header compression of both sides is no longer in step (RFC 9113 §4.3).
    case compressionError
    case streamClosed
    /// HEADERS or DATA on a stream that both sides have closed (RFC 9113 §5.1).
    case frameOnClosedStream
    /// More streams were reset than the budget allows.
    case tooManyResets
    /// More frames that carry no message than the budget allows.
    case tooManyControlFrames
    /// Header lists over the limit, more than once or by far.
    case headerLists
    case tooManyContinuations
    /// The peer reads so little that what it must be told piles up.
    case unreadAcknowledgements
    /// Our SETTINGS were not acknowledged in time (RFC 9113 §6.5.3).
    case settingsTimeout
    /// A header block was begun and not ended in time.
    case headersTimeout
    case pingTimeout
    /// The peer read nothing of what was ready for it for too long.
    case stalled
    case enhanceYourCalm
    /// The gateway itself gave it up.
    case closedByOwner
    /// The HTTP/2 library had no memory, or broke one of its own rules.
    case library

    /// As in metrics.
    public var name: StaticString {
        switch self {
        case .badPreface: "bad_preface"
        case .protocolError: "protocol_error"
        case .internalError: "internal_error"
        case .flowControlError: "flow_control_error"
        case .frameSizeError: "frame_size_error"
        case .compressionError: "compression_error"
        case .streamClosed: "stream_closed"
        case .frameOnClosedStream: "frame_on_closed_stream"
        case .tooManyResets: "too_many_resets"
        case .tooManyControlFrames: "too_many_control_frames"
        case .headerLists: "header_lists"
        case .tooManyContinuations: "too_many_continuations"
        case .unreadAcknowledgements: "unread_acknowledgements"
        case .settingsTimeout: "settings_timeout"
        case .headersTimeout: "headers_timeout"
        case .pingTimeout: "ping_timeout"
        case .stalled: "stalled"
        case .enhanceYourCalm: "enhance_your_calm"
        case .closedByOwner: "closed_by_owner"
        case .library: "library"
        }
    }
}

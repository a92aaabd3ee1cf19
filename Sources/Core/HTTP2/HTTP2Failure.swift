/// Why a session came to its end before its time. What the peer is told is `code`.
public enum HTTP2Failure: Equatable, Sendable {
    /// The first bytes are not the client's preface (RFC 9113 §3.4).
    case badPreface
    /// Another connection error; the code says which (RFC 9113 §5.4.1).
    case connectionError(HTTP2ErrorCode)
    /// HEADERS or DATA for a stream that both sides have closed (RFC 9113 §5.1).
    case frameOnClosedStream
    /// More streams were reset than the budget allows (CVE-2023-44487, CVE-2025-8671).
    case tooManyResets
    /// More PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty and unknown frames than the budget allows.
    case tooManyControlFrames
    /// Header lists over the limit for the second time, or one far over it.
    case headerLists
    /// More than eight CONTINUATION frames in one header block.
    case tooManyContinuations
    /// The peer reads so little that its acknowledgements pile up.
    case unreadAcknowledgements
    /// Our SETTINGS were not acknowledged in time (RFC 9113 §6.5.3).
    case settingsTimeout
    /// A header block was begun and not ended in time.
    case headersTimeout
    /// A PING was not answered in time.
    case pingTimeout
    /// The owner closed it with `goAway`.
    case closedByOwner(HTTP2ErrorCode)
    /// nghttp2 had no memory, or broke one of its own rules.
    case library

    public var code: HTTP2ErrorCode {
        switch self {
        case .badPreface: .protocolError
        case .connectionError(let code), .closedByOwner(let code): code
        case .frameOnClosedStream: .streamClosed
        case .tooManyResets, .tooManyControlFrames, .headerLists, .tooManyContinuations, .unreadAcknowledgements,
            .headersTimeout:
            .enhanceYourCalm
        case .settingsTimeout: .settingsTimeout
        case .pingTimeout: .noError
        case .library: .internalError
        }
    }
}

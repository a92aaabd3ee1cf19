import HTTP1

/// What happened on a session, in the order in which it did.
///
/// A stream's events are: heads (interim ones first), data, then trailers or `.end` unless a head said that it ends the stream;
/// at any point `.reset`; and last `.closed`. Streams of which no head was announced have no events.
public enum HTTP2Event {
    /// A head is complete: `headText` has it, in the form of HTTP/1.1. A client also gets interim ones, with a status below 200.
    case head(HTTP2StreamID, endsStream: Bool)
    /// A head over the limits, of which nothing beyond the request line was kept. A server's owner answers; towards a server the
    /// stream is reset already. `headText` has the request line and Host, or nothing when the line itself was the matter.
    case refusedHead(HTTP2StreamID, RequestFault)
    /// Body bytes. They stand in the bytes that were given to `receive`, and are good until it is called again. They take from
    /// the window until they are given to `consume`.
    case data(HTTP2StreamID, UnsafeRawBufferPointer)
    /// The body and its trailers are complete: `trailerText` has them.
    case trailers(HTTP2StreamID)
    /// The body is complete.
    case end(HTTP2StreamID)
    /// The stream ended with an error: the peer's RST_STREAM, its GOAWAY, or a malformed message. It is safe to send a request
    /// again that the peer has promised not to have looked at (RFC 9113 §8.7). A server that has answered in full and resets the
    /// stream with NO_ERROR only wants no more of the request (§8.1): that is `.closed` alone.
    case reset(HTTP2StreamID, HTTP2ErrorCode, isSafeToRetry: Bool)
    /// The stream is gone; the last of its events. Its record lives until `released`.
    case closed(HTTP2StreamID)
    /// The peer takes no streams above this one.
    case goAway(lastStream: Int32, HTTP2ErrorCode)
    /// The peer's SETTINGS came, or came anew.
    case settings
    case pingAcknowledged
}

/// An event as the callbacks store it: three words.
struct StoredEvent {
    enum Kind: UInt8 {
        case head, lastHead, refusedHead, data, trailers, end, reset, resetSafely, closed, goAway, settings, ping
    }

    var kind: Kind
    /// Of `.refusedHead`: which limit.
    var limit: HeadLimit
    var slot: UInt32
    /// Of `.goAway`: the last stream.
    var number: Int32
    /// Of `.head`: where in the stream's text it begins; of `.reset` and `.goAway`: the code; of `.data`: how many bytes.
    var value: UInt32
    /// Of `.head`: how long the text is.
    var count: UInt32
    var bytes: UnsafeRawPointer?
}

/// The limit that a head is over.
enum HeadLimit: UInt8 {
    case none, target, field, list, count

    var fault: RequestFault {
        switch self {
        case .target: .targetTooLong
        case .field: .fields(.fieldTooLarge)
        case .none, .list: .fields(.headersTooLarge)
        case .count: .fields(.tooManyFields)
        }
    }
}

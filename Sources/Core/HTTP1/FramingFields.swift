import HTTPMessages
import Primitives

/// What is wrong with the fields that say how long a message is (RFC 9112 §6). Any doubt about where a message ends is how one
/// request is smuggled inside another, so nothing is repaired.
public enum FramingFault: UInt8, Equatable, Sendable, CaseIterable {
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.1).
    case conflictingLength
    case duplicateContentLength
    /// Not `1*DIGIT`, or above 2^63 - 1.
    case invalidContentLength
    case duplicateTransferEncoding
    /// Anything but exactly `chunked`.
    case unsupportedTransferEncoding
    /// `Transfer-Encoding` in an HTTP/1.0 message (RFC 9112 §6.1).
    case transferEncodingInHTTP10

    /// The word for metrics and logs.
    public var reason: StaticString {
        switch self {
        case .conflictingLength: "conflicting_length"
        case .duplicateContentLength: "duplicate_content_length"
        case .invalidContentLength: "invalid_content_length"
        case .duplicateTransferEncoding: "duplicate_transfer_encoding"
        case .unsupportedTransferEncoding: "unsupported_transfer_encoding"
        case .transferEncodingInHTTP10: "transfer_encoding_in_http10"
        }
    }

    public var message: StaticString {
        switch self {
        case .conflictingLength: "Content-Length and Transfer-Encoding exclude each other."
        case .duplicateContentLength: "There is more than one Content-Length."
        case .invalidContentLength: "Content-Length is not a number of bytes."
        case .duplicateTransferEncoding: "There is more than one Transfer-Encoding."
        case .unsupportedTransferEncoding: "The only transfer coding accepted is chunked."
        case .transferEncodingInHTTP10: "HTTP/1.0 has no Transfer-Encoding."
        }
    }
}

/// The two framing fields of one head, gathered line by line.
struct FramingFields {
    private(set) var contentLength: UInt64?
    private(set) var isChunked = false

    mutating func contentLengthReceived(_ value: RawSpan) -> FramingFault? {
        if isChunked { return .conflictingLength }
        if contentLength != nil { return .duplicateContentLength }
        guard let length = FramingFields.readLength(value) else { return .invalidContentLength }
        contentLength = length
        return nil
    }

    mutating func transferEncodingReceived(_ value: RawSpan, version: HTTPVersion) -> FramingFault? {
        switch version {
        case .http10: return .transferEncodingInHTTP10
        case .http11, .http2: break
        }
        if contentLength != nil { return .conflictingLength }
        if isChunked { return .duplicateTransferEncoding }
        guard value.equals(ignoringCase: "chunked") else { return .unsupportedTransferEncoding }
        isChunked = true
        return nil
    }

    /// `1*DIGIT`; the digits are capped before any arithmetic: 19 nines stay below 2^64.
    private static func readLength(_ text: RawSpan) -> UInt64? {
        guard text.byteCount >= 1, text.byteCount <= 19 else { return nil }
        var value: UInt64 = 0
        for i in 0..<text.byteCount {
            guard ASCII.isDigit(text[i]) else { return nil }
            value = value * 10 + UInt64(text[i] - ASCII.zero)
        }
        return value <= UInt64(Int64.max) ? value : nil
    }
}

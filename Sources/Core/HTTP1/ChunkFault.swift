/// What is wrong with a chunked body (RFC 9112 §7.1) or with its trailer section. Met in the middle of a body: the message is cut
/// off visibly, and nothing more is read from the connection.
public enum ChunkFault: UInt8, Equatable, Sendable, CaseIterable {
    /// Not 1 to 16 hexadecimal digits, or something other than an extension behind them.
    case invalidSize
    /// Above 2^63 - 1, or more than 16 digits.
    case sizeTooLarge
    /// Not `;name`, `;name=token` or `;name="quoted"`.
    case invalidExtension
    /// One line's extensions, or all of them together, exceed their budget.
    case tooMuchOverhead
    /// A chunk line that ends in LF, or a CR without LF.
    case invalidLineEnd
    /// A chunk's data is not followed by CRLF.
    case dataNotTerminated
    /// A control byte, a bare CR or a bare LF among the trailers.
    case invalidTrailer
    case trailersTooLarge

    /// The word for metrics and logs.
    public var reason: StaticString {
        switch self {
        case .invalidSize: "invalid_chunk_size"
        case .sizeTooLarge: "chunk_size_too_large"
        case .invalidExtension: "invalid_chunk_extension"
        case .tooMuchOverhead: "chunk_overhead"
        case .invalidLineEnd: "invalid_chunk_line_end"
        case .dataNotTerminated: "chunk_data_not_terminated"
        case .invalidTrailer: "invalid_trailer"
        case .trailersTooLarge: "trailers_too_large"
        }
    }

    public var message: StaticString {
        switch self {
        case .invalidSize: "A chunk size is not a hexadecimal number."
        case .sizeTooLarge: "A chunk is too large."
        case .invalidExtension: "A chunk extension is malformed."
        case .tooMuchOverhead: "The chunk extensions are too large."
        case .invalidLineEnd: "A chunk line does not end in CRLF."
        case .dataNotTerminated: "The data of a chunk is not followed by CRLF."
        case .invalidTrailer: "A trailer line is malformed."
        case .trailersTooLarge: "The trailers are too large."
        }
    }
}

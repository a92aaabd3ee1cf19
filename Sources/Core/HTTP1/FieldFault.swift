/// What is wrong with a field line (RFC 9112 §5, §2.2), in a request, a response or a trailer section.
public enum FieldFault: UInt8, Equatable, Sendable, CaseIterable {
    /// LF without a CR before it, also in a start line: some recipients end a line there.
    case bareLineFeed
    /// CR without an LF behind it, also in a start line.
    case bareCarriageReturn
    /// A line that starts with a space or a tab: folded over two lines, or before the first field.
    case obsoleteFolding
    case missingColon
    case emptyName
    /// A byte that is no tchar in the name.
    case invalidName
    /// Space or tab before the colon.
    case spaceBeforeColon
    /// A control byte other than HTAB in the value.
    case controlByte
    /// One line is longer than `Limits.fieldBytes`.
    case fieldTooLarge
    /// All lines together are longer than `Limits.headerBytes`.
    case headersTooLarge
    /// More lines than `Limits.fieldCount`.
    case tooManyFields

    /// Whether a size was exceeded: 431 in a request.
    public var isTooLarge: Bool {
        switch self {
        case .fieldTooLarge, .headersTooLarge, .tooManyFields: true
        case .bareLineFeed, .bareCarriageReturn, .obsoleteFolding, .missingColon, .emptyName, .invalidName, .spaceBeforeColon,
            .controlByte:
            false
        }
    }

    /// The word for metrics and logs.
    public var reason: StaticString {
        switch self {
        case .bareLineFeed: "bare_line_feed"
        case .bareCarriageReturn: "bare_carriage_return"
        case .obsoleteFolding: "obsolete_folding"
        case .missingColon: "missing_colon"
        case .emptyName: "empty_field_name"
        case .invalidName: "invalid_field_name"
        case .spaceBeforeColon: "space_before_colon"
        case .controlByte: "control_byte_in_field"
        case .fieldTooLarge: "field_too_large"
        case .headersTooLarge: "headers_too_large"
        case .tooManyFields: "too_many_fields"
        }
    }

    public var message: StaticString {
        switch self {
        case .bareLineFeed: "A line ends with LF instead of CRLF."
        case .bareCarriageReturn: "A CR is not followed by LF."
        case .obsoleteFolding: "A field line starts with white space."
        case .missingColon: "A field line has no colon."
        case .emptyName: "A field line has no name."
        case .invalidName: "A field name has a byte that is not allowed in it."
        case .spaceBeforeColon: "There is white space between a field name and its colon."
        case .controlByte: "A field value has a control byte."
        case .fieldTooLarge: "A header field is too large."
        case .headersTooLarge: "The header fields are too large."
        case .tooManyFields: "There are too many header fields."
        }
    }
}

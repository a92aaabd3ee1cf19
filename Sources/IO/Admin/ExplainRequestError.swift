import Configuration

/// Why a body does not describe a request.
public struct ExplainRequestError: Error, Equatable, CustomStringConvertible {
    public enum Kind: Sendable {
        /// More than `ExplainRequest.bytesMax`: 413.
        case tooLarge
        /// Neither JSON nor YAML: 400.
        case unreadable
        /// Read, but a key or a value is not right: 422.
        case invalid
    }

    public var kind: Kind
    /// The key that is meant: `headers.X-Tenant`; empty for the body as a whole.
    public var key: String
    /// What is wrong and what would be right; a sentence without a full stop.
    public var message: String

    init(_ kind: Kind, _ key: String, _ message: String) {
        self.kind = kind
        self.key = key.isEmpty ? "" : DisplayText.of(key)
        self.message = message
    }

    public var status: UInt16 {
        switch kind {
        case .tooLarge: 413
        case .unreadable: 400
        case .invalid: 422
        }
    }

    public var description: String { key.isEmpty ? message : "\(key): \(message)" }
}

/// The scheme under which a request came in: whether its connection is encrypted (RFC 9110 §4.2).
public enum Scheme: UInt8, Sendable {
    case http, https

    public var name: StaticString {
        switch self {
        case .http: "http"
        case .https: "https"
        }
    }

    /// The port that a URI of this scheme means when it names none.
    public var defaultPort: UInt16 {
        switch self {
        case .http: 80
        case .https: 443
        }
    }
}

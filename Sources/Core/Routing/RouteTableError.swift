/// Why routes do not make a table.
public enum RouteTableError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Some requests would match both, and neither route is more specific.
    case tie(first: String, second: String)
    /// CONNECT, TRACE, a known method in lower case, or no token of at most 32 bytes.
    case method(route: String, String)
    case headerName(route: String, String)
    /// `anyOf` without a value can never hold.
    case noValues(route: String, String)

    public var description: String {
        switch self {
        case .tie(let first, let second):
            "routes `\(first)` and `\(second)` take the same requests and neither is more specific"
        case .method(let route, let method): "route `\(route)`: `\(method)` is not a method that a route can take"
        case .headerName(let route, let name): "route `\(route)`: `\(name)` is not a header name"
        case .noValues(let route, let name): "route `\(route)`: `\(name)` is compared with an empty list"
        }
    }
}

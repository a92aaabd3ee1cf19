/// Why routes do not make a table.
public enum RouteTableError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Some requests would match both, and neither route is more specific.
    case tie(first: String, second: String)
    /// So many routes have the same host, path and number of conditions, and so little in common by which they could be told
    /// apart, that a search for ties among them would take too long.
    case tooManyAlike(first: String, count: Int)
    /// CONNECT, TRACE, a known method in lower case, or no token of at most 32 bytes.
    case method(route: String, String)
    case headerName(route: String, String)
    /// `anyOf` without a value can never hold.
    case noValues(route: String, String)

    public var description: String {
        switch self {
        case .tie(let first, let second):
            "routes `\(first)` and `\(second)` take the same requests and neither is more specific"
        case .tooManyAlike(let first, let count):
            "\(count) routes, of which `\(first)` is the first, have the same host and path, and no method, header or query parameter"
                + " on which all of them have a condition tells them apart"
        case .method(let route, let method): "route `\(route)`: `\(method)` is not a method that a route can take"
        case .headerName(let route, let name): "route `\(route)`: `\(name)` is not a header name"
        case .noValues(let route, let name): "route `\(route)`: `\(name)` is compared with an empty list"
        }
    }
}

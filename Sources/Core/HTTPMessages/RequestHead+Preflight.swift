import Primitives

extension RequestHead {
    /// The field line of the method that a browser asks for before it sends the request itself: the value of
    /// `Access-Control-Request-Method` in an OPTIONS with `Origin` (Fetch, CORS-preflight request). Nil where the request is none:
    /// without both fields, or without a token for the method, an OPTIONS is a request like any other.
    public var preflightMethodIndex: Int? {
        guard case .options = method, headers.firstIndex(of: .origin) != nil else { return nil }
        let name: StaticString = "access-control-request-method"
        let lowercase = RawSpan(_unsafeStart: UnsafeRawPointer(name.utf8Start), byteCount: name.utf8CodeUnitCount)
        guard let index = headers.firstIndex(named: lowercase), isToken(headers.value(index)) else { return nil }
        return index
    }
}

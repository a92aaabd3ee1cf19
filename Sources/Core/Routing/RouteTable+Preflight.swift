import HTTPMessages
import Primitives

extension RouteTable {
    /// The route for the request that a preflight announces: matched as though the method were the value of
    /// `Access-Control-Request-Method`, so that a route for GET and POST alone finds its preflights. Nil when the head is no
    /// preflight.
    ///
    /// A preflight has neither the fields nor the credentials of the request to come: a route with a condition on a field that
    /// scripts add is not found by it. The head is as before when this returns.
    public func matchAnnounced(by preflight: inout RequestHead) -> RouteMatch? {
        guard let index = preflight.preflightMethodIndex else { return nil }
        let method = preflight.method
        let methodRange = preflight.methodRange
        let field = preflight.headers.fields[index]
        let start = Int(field.valueOffset)
        preflight.methodRange = start..<(start + Int(field.valueCount))
        preflight.method = Method(preflight.bytes(preflight.methodRange))
        let found = match(preflight)
        preflight.method = method
        preflight.methodRange = methodRange
        return found
    }
}

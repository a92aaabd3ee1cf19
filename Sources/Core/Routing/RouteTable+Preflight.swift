import HTTPMessages
import Primitives

extension RouteTable {
    /// The route for the request that a preflight announces: matched as though the method were the value of
    /// `Access-Control-Request-Method`, so that a route for GET and POST alone finds its preflights. Nil when the head is no
    /// preflight.
    ///
    /// A preflight has the names of the fields that a script adds, in `Access-Control-Request-Headers`, and not their values
    /// (Fetch, CORS-preflight fetch). A condition on such a field is taken to hold, and one that it must not be there not to. Where
    /// that finds no route, the same is supposed of the fields that browsers add without announcing them: credentials, and the
    /// content type. What else is not in the preflight will not be in the request.
    ///
    /// Of several routes that then fit, the first in the usual order is the one, whether it answers preflights or not: another one
    /// must not let in what this one would not. So routes that differ in the values of such a field should have the same `cors`.
    /// The head is as before when this returns.
    public func matchAnnounced(by preflight: inout RequestHead) -> RouteMatch? {
        guard let index = preflight.preflightMethodIndex else { return nil }
        let method = preflight.method
        let methodRange = preflight.methodRange
        let field = preflight.headers.fields[index]
        let start = Int(field.valueOffset)
        preflight.methodRange = start..<(start + Int(field.valueCount))
        preflight.method = Method(preflight.bytes(preflight.methodRange))
        var found = match(preflight, supposing: .announced)
        switch found {
        case .route: break
        case .methodNotAllowed, .methodUnknown, .noRoute: found = match(preflight, supposing: .announcedOrUsual)
        }
        preflight.method = method
        preflight.methodRange = methodRange
        return found
    }
}

/// Which fields a look-up supposes to be there although the head has none of them.
enum SupposedFields: UInt8 {
    case none
    /// Those that the preflight names.
    case announced
    /// Those, and what browsers add to a request and not to its preflight.
    case announcedOrUsual
}

extension RouteStorage {
    /// Whether a condition on a field that is not in the preflight would hold for the request, as far as that can be known.
    @inline(never)
    func holdsAnnounced(_ condition: Condition, _ head: borrowing RequestHead, _ supposed: SupposedFields) -> Bool {
        let name = bytes(condition.name)
        guard head.headers.firstIndex(named: name) == nil else { return holds(condition, head) }
        let isAnnounced = RouteStorage.announces(name, head)
        switch condition.test {
        case .absent: return !isAnnounced
        case .present, .anyOf:
            return isAnnounced || supposed == .announcedOrUsual && RouteStorage.isUsual(name)
        }
    }

    /// - Parameter name: in lower case.
    private static func announces(_ name: RawSpan, _ head: borrowing RequestHead) -> Bool {
        let field: StaticString = "access-control-request-headers"
        let lowercase = RawSpan(_unsafeStart: UnsafeRawPointer(field.utf8Start), byteCount: field.utf8CodeUnitCount)
        var next = 0
        while let index = head.headers.firstIndex(named: lowercase, from: next) {
            let value = head.headers.value(index)
            var start = 0
            while start <= value.byteCount {
                let rest = value.extracting(start..<value.byteCount)
                let end = rest.firstIndex(of: ASCII.comma) ?? rest.byteCount
                if isSame(rest.extracting(0..<end).trimmingWhitespace(), name) { return true }
                start += end + 1
            }
            next = index + 1
        }
        return false
    }

    private static func isSame(_ text: RawSpan, _ lowercase: RawSpan) -> Bool {
        guard text.byteCount == lowercase.byteCount else { return false }
        for k in 0..<text.byteCount where ASCII.lowercased(text[k]) != lowercase[k] { return false }
        return true
    }

    private static func isUsual(_ name: RawSpan) -> Bool {
        name.equals("cookie") || name.equals("authorization") || name.equals("content-type") || name.equals("content-language")
            || name.equals("range")
    }
}

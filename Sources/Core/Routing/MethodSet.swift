import HTTPMessages
import Primitives

/// The methods of a route, one bit per `Method`.
struct MethodSet {
    private(set) var bits: UInt16 = 0

    /// No method at all, to be added to.
    init() {}

    /// The methods that a route with this list takes; an empty list is every method but CONNECT, TRACE and unknown ones.
    /// Unknown ones in the list have no bit.
    init(_ methods: [String]) {
        guard !methods.isEmpty else {
            for method in Method.allCases { if method.isRoutable { insert(method) } }
            return
        }
        for method in methods {
            let bytes = Array(method.utf8)
            let known = Method(bytes.span.bytes)
            guard known.isRoutable else { continue }
            insert(known)
            if case .get = known { insert(.head) }
        }
    }

    func contains(_ method: Method) -> Bool { bits & (1 << UInt16(method.rawValue)) != 0 }
    mutating func insert(_ method: Method) { bits |= 1 << UInt16(method.rawValue) }
    mutating func formUnion(_ other: UInt16) { bits |= other }
}

extension Method {
    /// Whether a route may take the method without naming it.
    fileprivate var isRoutable: Bool {
        switch self {
        case .get, .head, .post, .put, .delete, .options, .patch: true
        case .trace, .connect, .other: false
        }
    }
}

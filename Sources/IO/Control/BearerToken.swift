import HTTPMessages
import Pipeline
import Primitives

/// Lets only those through who show the admin token (RFC 6750 §2.1).
struct BearerToken: Middleware {
    let name = "admin_token"
    private let token: [UInt8]

    init(_ token: [UInt8]) { self.token = token }

    func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
        guard let index = head.headers.firstIndex(of: .authorization) else {
            return answer(.authMissing, challenge: "Bearer realm=\"admin\"")
        }
        guard isToken(head.headers.value(index)) else {
            return answer(.authInvalid, challenge: "Bearer realm=\"admin\", error=\"invalid_token\"")
        }
        return .proceed
    }

    private func answer(_ refusal: Refusal, challenge: String) -> Verdict {
        .answer(
            .error(
                status: refusal.status, code: "\(refusal.code.name)", message: "\(refusal.message)",
                reason: "\(refusal.reason.name)",
                fields: [("WWW-Authenticate", challenge)]))
    }

    /// Takes as long for a wrong token as for the right one.
    private func isToken(_ value: RawSpan) -> Bool {
        let scheme = 7
        guard value.byteCount >= scheme, value.extracting(0..<scheme).equals(ignoringCase: "bearer ") else { return false }
        let given = value.extracting(scheme..<value.byteCount)
        var difference = given.byteCount ^ token.count
        for i in 0..<given.byteCount { difference |= Int(given[i] ^ token[i % token.count]) }
        return difference == 0
    }
}

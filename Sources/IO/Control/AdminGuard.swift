import HTTPMessages
import Pipeline
import Primitives

/// Decides who may ask the admin listener anything: whoever shows the token, or, where none is configured, whoever is on this machine and is
/// no web page.
///
/// A browser on the machine can be made to send requests here, by any page that it shows (CSRF) and by a name that suddenly leads to this
/// address (DNS rebinding). So no request with an `Origin` is answered, and a request without token must be for an address or a name that
/// belongs here; what changes something must besides carry what no form can send (`AdminRequest.isDeliberate`).
struct AdminGuard: Middleware {
    let name = "admin_guard"
    private let token: [UInt8]
    /// Lower case.
    private let hosts: [[UInt8]]

    /// - Parameters:
    ///   - token: what has to be shown (RFC 6750 §2.1); empty for none.
    ///   - hosts: names under which the listener is known.
    init(token: [UInt8], hosts: [String]) {
        self.token = token
        self.hosts = (["localhost"] + hosts).map { Array($0.lowercased().utf8) }
    }

    func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
        if head.headers.firstIndex(of: .origin) != nil {
            return refuse(403, "This listener does not answer web pages: a request with Origin is refused.", "origin_refused")
        }
        guard token.isEmpty else { return checkToken(head) }
        if !context.peerIsUnixSocket, !isOurs(head) {
            return refuse(
                403, "Host must be an IP address, localhost, or one of admin.hosts, unless admin.token is set and shown.",
                "host_refused")
        }
        return .proceed
    }

    private func checkToken(_ head: borrowing RequestHead) -> Verdict {
        guard let index = head.headers.firstIndex(of: .authorization) else {
            return answer(.authMissing, challenge: "Bearer realm=\"admin\"")
        }
        guard isToken(head.headers.value(index)) else {
            return answer(.authInvalid, challenge: "Bearer realm=\"admin\", error=\"invalid_token\"")
        }
        return .proceed
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

    /// Whether the request names an address, which no foreign name can lead to, or one of the listener's names.
    private func isOurs(_ head: borrowing RequestHead) -> Bool {
        let host = head.bytes(head.host)
        guard host.byteCount > 0 else { return true }
        if host[0] == UInt8(ascii: "[") || IPAddress(host) != nil { return true }
        for name in hosts where host.equals(name.span.bytes) { return true }
        return false
    }

    private func refuse(_ status: UInt16, _ message: String, _ reason: String) -> Verdict {
        .answer(.error(status: status, code: "AUTH_ERROR", message: message, reason: reason))
    }

    private func answer(_ refusal: Refusal, challenge: String) -> Verdict {
        .answer(
            .error(
                status: refusal.status, code: "\(refusal.code.name)", message: "\(refusal.message)",
                reason: "\(refusal.reason.name)", fields: [("WWW-Authenticate", challenge)]))
    }
}

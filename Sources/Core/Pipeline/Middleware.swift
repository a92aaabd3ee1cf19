import HTTPMessages

/// A stage of a chain that somebody else writes.
///
/// One value serves all requests of all workers at once: keep state behind a `Mutex` or an `Atomic`, and never block: what
/// needs to wait suspends.
///
///     struct TenantCheck: Middleware {
///         let name = "tenant_check"
///         let directory: TenantDirectory
///
///         func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
///             guard let tenant = head.headers.text("x-tenant") else {
///                 return .answer(.error(status: 400, code: "INVALID_REQUEST", message: "X-Tenant is missing", reason: "tenant"))
///             }
///             let resumption = context.suspension()
///             directory.look(up: tenant) { found in                        // on any thread, later
///                 resumption.resume(found ? .proceed : .answer(Answer(status: 404)))
///             }
///             return .suspend
///         }
///     }
///
/// Fields that concern the connection, the framing or the client's identity (`Connection`, `Content-Length`, `Host`,
/// `X-Forwarded-*`, `Via`, `X-Request-ID`, …) belong to the gateway: those that a middleware adds are dropped.
public protocol Middleware: Sendable {
    /// What logs call it.
    var name: String { get }

    /// Sees the request before it is forwarded, in the order of the chain.
    func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict

    /// Sees the response before it goes to the client, in the reverse order. Also answers that a later stage or the gateway
    /// made; not the middleware's own, and not after an answer of an earlier stage.
    func response(_ head: inout ResponseHead, to request: borrowing RequestHead, _ context: inout RequestContext) -> Verdict
}

extension Middleware {
    public func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict { .proceed }

    public func response(
        _ head: inout ResponseHead, to request: borrowing RequestHead, _ context: inout RequestContext
    ) -> Verdict { .proceed }
}

/// What a stage wants to happen next.
public enum Verdict: Sendable {
    case proceed
    /// In the request phase, nothing is forwarded and this is the response; in the response phase, it replaces the response.
    case answer(Answer)
    /// Nothing, until the `Resumption` taken from `context.suspension()` is used.
    case suspend
}

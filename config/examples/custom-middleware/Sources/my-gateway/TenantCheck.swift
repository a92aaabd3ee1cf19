import SluiceDaemon

/// `custom: {type: tenant_check, options: {service: "127.0.0.1:7100", timeout: 500ms}}`
let tenantCheck = MiddlewareType("tenant_check") { options in
    guard let service = ServiceAddress(try options.string("service")) else {
        throw MiddlewareOptionError(key: "service", problem: "expected an IPv4 address and a port, such as 127.0.0.1:7100")
    }
    return TenantCheck(
        directory: TenantDirectory(
            service: service,
            timeout: try options.duration("timeout", in: .milliseconds(10)...(.seconds(10)), default: .seconds(1)),
            threads: try options.int("threads", in: 1...64, default: 4),
            waitingMax: try options.int("waiting", in: 1...10_000, default: 100)))
}

/// Lets a request through when another service says that its tenant may go on.
struct TenantCheck: Middleware {
    let name = "tenant_check"
    let directory: TenantDirectory

    func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
        guard let tenant = head.headers.text("X-Tenant"), Self.isName(tenant) else {
            return .answer(
                .error(
                    status: 400, code: "INVALID_REQUEST", message: "X-Tenant must name a tenant", reason: "bad_request"))
        }
        let resumption = context.suspension()
        let isTaken = directory.ask(about: tenant) { finding in
            // On a thread of the directory, later.
            switch finding {
            case .allowed: resumption.resume(.proceedSetting([("X-Checked-Tenant", tenant)]))
            case .denied: resumption.resume(.answer(Self.denied))
            case .unknown: resumption.resume(.answer(Self.unavailable))
            }
        }
        // Too many wait already: one more would only wait longer for the same answer.
        return isTaken ? .suspend : .answer(Self.unavailable)
    }

    /// What may stand in a path without a second meaning.
    static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
                default: false
                }
            }
    }

    static var denied: Answer {
        .error(status: 403, code: "AUTH_ERROR", message: "this tenant may not use the service", reason: "auth_invalid")
    }

    static var unavailable: Answer {
        .error(
            status: 503, code: "SERVICE_UNAVAILABLE", message: "the tenant could not be checked", reason: "overload",
            fields: [("Retry-After", "1")])
    }
}

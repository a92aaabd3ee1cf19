import SluiceDaemon

/// `custom: {type: version_bridge, options: {current: 2, sunset: "Sat, 01 May 2027 00:00:00 GMT"}}`
let versionBridge = MiddlewareType("version_bridge") { options in
    VersionBridge(current: try options.int("current", in: 1...99), sunset: options.optionalString("sunset"))
}

/// Clients ask for a version with `Accept-Version: 1`, the backend wants `X-API-Version: v1`; whoever asks for an old one is told.
struct VersionBridge: Middleware {
    let name = "version_bridge"
    let current: Int
    let sunset: String?

    func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
        let asked = head.headers.text("Accept-Version") ?? "\(current)"
        guard let version = Int(asked), (1...current).contains(version) else {
            return .answer(
                .error(
                    status: 400, code: "INVALID_REQUEST", message: "Accept-Version must be between 1 and \(current)",
                    reason: "bad_request"))
        }
        head.headers.remove("Accept-Version")
        head.headers.set("X-API-Version", "v\(version)")
        return .proceed
    }

    func response(
        _ head: inout ResponseHead, to request: borrowing RequestHead, _ context: inout RequestContext
    ) -> Verdict {
        // What the backend says when it breaks is for its authors, not for clients.
        if head.status == 500 {
            return .answer(
                .error(
                    status: 502, code: "UPSTREAM_ERROR", message: "the service has failed", reason: "upstream_malformed"))
        }
        // The request as it was forwarded.
        if request.headers.text("X-API-Version") != "v\(current)" {
            head.headers.set("Deprecation", "true")
            if let sunset { head.headers.set("Sunset", sunset) }
        }
        head.headers.add("Vary", "Accept-Version")
        return .proceed
    }
}

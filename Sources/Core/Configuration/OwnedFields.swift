import Primitives

/// Which message a header rule is for.
enum MessageSide {
    case request, response
}

/// The fields that the gateway itself writes or removes: a rule for one would break the framing, be undone, or say in the
/// gateway's name who the client is. The pipeline refuses the same.
enum OwnedFields {
    /// Why `name` cannot be set, added or removed, or nil when it can. `_` counts as `-`, as some backends read it.
    static func reason(_ name: String, _ side: MessageSide) -> String? {
        let normal = String(decoding: name.utf8.map { $0 == ASCII.underscore ? ASCII.dash : ASCII.lowercased($0) }, as: UTF8.self)
        switch (normal, side) {
        case ("content-length", _), ("transfer-encoding", _), ("trailer", _), ("te", _), ("expect", _):
            return "\(name) frames the message and is managed by the gateway"
        case ("connection", _), ("keep-alive", _), ("proxy-connection", _), ("upgrade", _), ("http2-settings", _),
            ("proxy-authorization", _), ("proxy-authenticate", _):
            return "\(name) belongs to one connection and is managed by the gateway"
        case ("host", .request):
            return "Host is set by the service's pass_host"
        case ("host", .response):
            return "Host has no place in an answer"
        case ("x-request-id", _):
            return "\(name) is set by server.request_id"
        case ("via", _), ("date", _), ("max-forwards", .request):
            return "\(name) is managed by the gateway"
        case ("x-forwarded-for", .request), ("x-forwarded-proto", .request), ("x-forwarded-host", .request),
            ("x-forwarded-port", .request), ("x-forwarded-prefix", .request), ("x-real-ip", .request), ("forwarded", .request):
            return "\(name) tells who the client is and is set by server.forwarded"
        default:
            return isIdentity(normal) ? "\(name) tells who the caller is and is managed by the gateway" : nil
        }
    }

    private static func isIdentity(_ name: String) -> Bool {
        let names = [
            "x-auth-subject", "x-auth-scopes", "x-auth-roles", "x-auth-org", "x-auth-method", "x-user-id", "x-scopes",
            "x-consumer",
            "client-cert", "client-cert-chain",
        ]
        return names.contains(name) || ["x-gateway-", "x-client-cert", "x-consumer-"].contains { name.hasPrefix($0) }
    }
}

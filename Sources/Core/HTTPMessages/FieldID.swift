import Primitives

/// The fields that the gateway itself reads, writes or removes. All others are `.other` and known by their bytes.
public enum FieldID: UInt8, Sendable, CaseIterable {
    case other
    // Framing and the connection (RFC 9112 §6, RFC 9110 §7.6.1).
    case host, contentLength, transferEncoding, connection, keepAlive, proxyConnection, te, trailer, upgrade
    case http2Settings, proxyAuthorization, proxyAuthenticate, expect, via, maxForwards
    // Who the client is.
    case forwarded, xForwardedFor, xForwardedProto, xForwardedHost, xForwardedPort, xForwardedPrefix, xRealIP
    case trueClientIP, xOriginalURL, xRewriteURL, xHTTPMethodOverride, xHTTPMethod, xMethodOverride
    case xRequestID, xTimestamp
    // Deadlines and retries over several hops.
    case xRequestTimeout, idempotencyKey, xSluiceRetry
    // Single-value fields that decide something.
    case authorization, xAPIKey, origin, cookie, contentType, accept, userAgent, referer
    // Answers.
    case date, server, retryAfter, location, allow, cacheControl, setCookie, proxyStatus, contentEncoding
    // Identity that the gateway passes on; never taken from a client (behaviour B.3).
    case xAuthSubject, xAuthScopes, xAuthRoles, xAuthOrg, xAuthMethod, xUserID, xScopes, xConsumer, clientCert

    /// The name in lower case.
    public var name: StaticString {
        switch self {
        case .other: ""
        case .host: "host"
        case .contentLength: "content-length"
        case .transferEncoding: "transfer-encoding"
        case .connection: "connection"
        case .keepAlive: "keep-alive"
        case .proxyConnection: "proxy-connection"
        case .te: "te"
        case .trailer: "trailer"
        case .upgrade: "upgrade"
        case .http2Settings: "http2-settings"
        case .proxyAuthorization: "proxy-authorization"
        case .proxyAuthenticate: "proxy-authenticate"
        case .expect: "expect"
        case .via: "via"
        case .maxForwards: "max-forwards"
        case .forwarded: "forwarded"
        case .xForwardedFor: "x-forwarded-for"
        case .xForwardedProto: "x-forwarded-proto"
        case .xForwardedHost: "x-forwarded-host"
        case .xForwardedPort: "x-forwarded-port"
        case .xForwardedPrefix: "x-forwarded-prefix"
        case .xRealIP: "x-real-ip"
        case .trueClientIP: "true-client-ip"
        case .xOriginalURL: "x-original-url"
        case .xRewriteURL: "x-rewrite-url"
        case .xHTTPMethodOverride: "x-http-method-override"
        case .xHTTPMethod: "x-http-method"
        case .xMethodOverride: "x-method-override"
        case .xRequestID: "x-request-id"
        case .xTimestamp: "x-timestamp"
        case .xRequestTimeout: "x-request-timeout"
        case .idempotencyKey: "idempotency-key"
        case .xSluiceRetry: "x-sluice-retry"
        case .authorization: "authorization"
        case .xAPIKey: "x-api-key"
        case .origin: "origin"
        case .cookie: "cookie"
        case .contentType: "content-type"
        case .accept: "accept"
        case .userAgent: "user-agent"
        case .referer: "referer"
        case .date: "date"
        case .server: "server"
        case .retryAfter: "retry-after"
        case .location: "location"
        case .allow: "allow"
        case .cacheControl: "cache-control"
        case .setCookie: "set-cookie"
        case .proxyStatus: "proxy-status"
        case .contentEncoding: "content-encoding"
        case .xAuthSubject: "x-auth-subject"
        case .xAuthScopes: "x-auth-scopes"
        case .xAuthRoles: "x-auth-roles"
        case .xAuthOrg: "x-auth-org"
        case .xAuthMethod: "x-auth-method"
        case .xUserID: "x-user-id"
        case .xScopes: "x-scopes"
        case .xConsumer: "x-consumer"
        case .clientCert: "client-cert"
        }
    }
}

/// How a request ended, in one word: in the access log, as a label of the metrics, and in the body of every answer that the
/// gateway makes itself. The names are stable; docs/errors.md tells what each means and what to do.
public enum Reason: UInt8, Sendable, CaseIterable {
    // The request was served.
    /// A backend answered, and all of its answer was passed on, whatever its status.
    case ok
    /// The route answers by itself.
    case response
    case redirect
    /// The connection became a tunnel (101), which has ended.
    case tunnel

    // The request is at fault.
    case badRequest
    case uriTooLong
    case headerTooLarge
    case bodyTooLarge
    case lengthRequired
    case expectationFailed
    case versionNotSupported
    case notImplemented
    case noRoute
    case methodNotAllowed
    case ipDenied
    /// The page that opens a WebSocket is of another site.
    case originDenied
    /// A WebSocket of a version other than 13.
    case websocketVersion
    case loopDetected
    /// The client's certificate is not one of those that are let in.
    case certificateDenied
    /// The connection was made for another host.
    case misdirected
    /// No credentials.
    case authMissing
    /// Credentials that are not good.
    case authInvalid

    // The client is at fault.
    /// It sent, or read, too slowly.
    case clientTimeout
    /// It went away before it had the whole answer.
    case clientClosed

    // The gateway chose not to send the request.
    case overload
    case draining
    case maintenance
    case noHealthyInstance
    case queueFull
    case queueTimeout
    /// The service's circuit breaker is open.
    case circuitOpen
    /// Something else answered in the service's place.
    case fallbackServed

    // The backend is at fault.
    case dnsFailed
    case connectRefused
    /// Any error of connect(2) other than a refusal: no route to the host, a missing Unix socket.
    case connectFailed
    case connectTimeout
    /// No encrypted connection could be made.
    case tlsFailed
    case upstreamReset
    case upstreamTimeout
    case upstreamMalformed
    case upstreamHeaderTooLarge
    /// The answer ended before its body did.
    case upstreamTruncated
    /// Its answer had a status that is tried again.
    case upstreamStatus

    /// A fault of the gateway's own.
    case internalError

    public var name: StaticString {
        switch self {
        case .ok: "ok"
        case .response: "response"
        case .redirect: "redirect"
        case .tunnel: "tunnel"
        case .badRequest: "bad_request"
        case .uriTooLong: "uri_too_long"
        case .headerTooLarge: "header_too_large"
        case .bodyTooLarge: "body_too_large"
        case .lengthRequired: "length_required"
        case .expectationFailed: "expectation_failed"
        case .versionNotSupported: "version_not_supported"
        case .notImplemented: "not_implemented"
        case .noRoute: "no_route"
        case .methodNotAllowed: "method_not_allowed"
        case .ipDenied: "ip_denied"
        case .websocketVersion: "websocket_version"
        case .loopDetected: "loop_detected"
        case .originDenied: "origin_denied"
        case .certificateDenied: "certificate_denied"
        case .misdirected: "misdirected"
        case .authMissing: "auth_missing"
        case .authInvalid: "auth_invalid"
        case .clientTimeout: "client_timeout"
        case .clientClosed: "client_closed"
        case .overload: "overload"
        case .draining: "draining"
        case .maintenance: "maintenance"
        case .noHealthyInstance: "no_healthy_instance"
        case .queueFull: "queue_full"
        case .queueTimeout: "queue_timeout"
        case .circuitOpen: "circuit_open"
        case .fallbackServed: "fallback_served"
        case .dnsFailed: "dns_failed"
        case .connectRefused: "connect_refused"
        case .connectFailed: "connect_failed"
        case .connectTimeout: "connect_timeout"
        case .tlsFailed: "tls_failed"
        case .upstreamReset: "upstream_reset"
        case .upstreamTimeout: "upstream_timeout"
        case .upstreamMalformed: "upstream_malformed"
        case .upstreamHeaderTooLarge: "upstream_header_too_large"
        case .upstreamTruncated: "upstream_truncated"
        case .upstreamStatus: "upstream_status"
        case .internalError: "internal_error"
        }
    }
}

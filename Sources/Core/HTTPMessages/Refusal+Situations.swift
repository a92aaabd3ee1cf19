/// What the client gets in each situation. 502: the backend spoke wrongly or died. 503: the gateway chose not to send, so it is
/// safe to try again. 504: the gateway ran out of patience.
extension Refusal {
    // The request.

    /// The request's framing or syntax is at fault, so that it is not known where it ends.
    public static var badRequest: Refusal {
        Refusal(
            status: 400, code: .invalidRequest, reason: .badRequest, message: "The request is not valid HTTP.",
            proxyStatus: "http_request_error", closes: true)
    }

    /// The request is whole, but its target or a field cannot be taken as it is.
    public static var unacceptable: Refusal {
        Refusal(
            status: 400, code: .invalidRequest, reason: .badRequest, message: "The request cannot be accepted as it is.",
            proxyStatus: "http_request_error")
    }

    /// No credentials where they are asked for; the challenge is the caller's.
    public static var authMissing: Refusal {
        Refusal(
            status: 401, code: .authError, reason: .authMissing, message: "Credentials are missing.",
            proxyStatus: "http_request_denied")
    }

    public static var authInvalid: Refusal {
        Refusal(
            status: 401, code: .authError, reason: .authInvalid, message: "The credentials are not valid.",
            proxyStatus: "http_request_denied")
    }

    /// The address is not on the list of those who may ask.
    public static var ipDenied: Refusal {
        Refusal(
            status: 403, code: .authError, reason: .ipDenied, message: "This address is not allowed here.",
            proxyStatus: "http_request_denied")
    }

    /// A page of another site opens a WebSocket, which would be the user's (RFC 6455 §10.2).
    public static var originDenied: Refusal {
        Refusal(
            status: 403, code: .authError, reason: .originDenied, message: "Pages of this origin are not allowed here.",
            proxyStatus: "http_request_denied")
    }

    public static var noRoute: Refusal {
        Refusal(
            status: 404, code: .notFound, reason: .noRoute, message: "Nothing is served at this address.",
            proxyStatus: "http_request_denied")
    }

    /// The connection was made for another host, with other rules for who may use it (RFC 9110 §15.5.20).
    public static var misdirected: Refusal {
        Refusal(
            status: 421, code: .invalidRequest, reason: .misdirected,
            message: "This connection was not made for that host.", proxyStatus: "http_request_error")
    }

    /// The path is known, the method is not; goes with `Allow`.
    public static var methodNotAllowed: Refusal {
        Refusal(
            status: 405, code: .methodNotAllowed, reason: .methodNotAllowed,
            message: "The method is not allowed at this address.", proxyStatus: "http_request_denied")
    }

    /// CONNECT and TRACE are never forwarded.
    public static var methodNeverAllowed: Refusal { methodNotAllowed.closing() }

    /// The head was not whole when its time was up.
    public static var headTimeout: Refusal {
        Refusal(
            status: 408, code: .requestTimeout, reason: .clientTimeout, message: "The request took too long to arrive.",
            proxyStatus: "http_request_error", closes: true)
    }

    /// The body stalled, or came below the minimum rate.
    public static var bodyTimeout: Refusal {
        Refusal(
            status: 408, code: .requestTimeout, reason: .clientTimeout, message: "The request body came too slowly.",
            proxyStatus: "http_request_error", closes: true)
    }

    public static var lengthRequired: Refusal {
        Refusal(
            status: 411, code: .invalidRequest, reason: .lengthRequired, message: "The length of the body must be given.",
            proxyStatus: "http_request_error", closes: true)
    }

    /// Closes, since the rest of the body is not read.
    public static var bodyTooLarge: Refusal {
        Refusal(
            status: 413, code: .invalidRequest, reason: .bodyTooLarge, message: "The request body is larger than allowed.",
            proxyStatus: "http_request_error", closes: true)
    }

    public static var uriTooLong: Refusal {
        Refusal(
            status: 414, code: .invalidRequest, reason: .uriTooLong, message: "The request target is longer than allowed.",
            proxyStatus: "http_request_error", closes: true)
    }

    /// An expectation other than 100-continue (RFC 9110 §10.1.1). Closes, since the client may or may not send its body.
    public static var expectationFailed: Refusal {
        Refusal(
            status: 417, code: .invalidRequest, reason: .expectationFailed, message: "The expectation cannot be met.",
            proxyStatus: "http_request_error", closes: true)
    }

    /// A WebSocket handshake of another version than 13, which the answer names (RFC 6455 §4.4).
    public static var webSocketVersion: Refusal {
        Refusal(
            status: 426, code: .invalidRequest, reason: .websocketVersion,
            message: "This version of WebSocket is not supported.", proxyStatus: "http_request_error")
    }

    /// One field, all fields, or their number is over its limit.
    public static var headerTooLarge: Refusal {
        Refusal(
            status: 431, code: .invalidRequest, reason: .headerTooLarge,
            message: "The request header fields are larger than allowed.", proxyStatus: "http_request_error", closes: true)
    }

    /// A method that no route names.
    public static var unknownMethod: Refusal {
        Refusal(
            status: 501, code: .invalidRequest, reason: .notImplemented, message: "The method is not known.",
            proxyStatus: "http_request_error")
    }

    /// A transfer coding other than chunked (RFC 9112 §6.1).
    public static var unknownTransferCoding: Refusal {
        Refusal(
            status: 501, code: .invalidRequest, reason: .notImplemented, message: "The transfer coding is not known.",
            proxyStatus: "http_request_error", closes: true)
    }

    public static var versionNotSupported: Refusal {
        Refusal(
            status: 505, code: .invalidRequest, reason: .versionNotSupported, message: "The HTTP version is not supported.",
            proxyStatus: "http_request_error", closes: true)
    }

    /// The request has been here before: `Via` holds the gateway's own name (RFC 9110 §7.6.3).
    public static var loopDetected: Refusal {
        Refusal(
            status: 508, code: .loopDetected, reason: .loopDetected, message: "The request came back to the gateway.",
            proxyStatus: "proxy_loop_detected")
    }

    // The gateway.

    public static var internalError: Refusal {
        Refusal(
            status: 500, code: .internalError, reason: .internalError, message: "The gateway failed to handle the request.",
            proxyStatus: "proxy_internal_error", closes: true)
    }

    /// More connections or requests than the gateway takes.
    public static var overload: Refusal {
        Refusal(
            status: 503, code: .serviceUnavailable, reason: .overload, message: "The gateway is overloaded.",
            retryAfterSeconds: 1, proxyStatus: "http_request_denied", closes: true)
    }

    public static var draining: Refusal {
        Refusal(
            status: 503, code: .serviceUnavailable, reason: .draining, message: "The gateway is shutting down.",
            retryAfterSeconds: 1, proxyStatus: "http_request_denied", closes: true)
    }

    /// - Parameter retryAfterSeconds: until its end, if that is known; else 0.
    public static func maintenance(retryAfterSeconds: Int) -> Refusal {
        Refusal(
            status: 503, code: .serviceUnavailable, reason: .maintenance, message: "The service is under maintenance.",
            retryAfterSeconds: max(0, retryAfterSeconds), proxyStatus: "http_request_denied")
    }

    public static var noHealthyInstance: Refusal {
        Refusal(
            status: 503, code: .serviceUnavailable, reason: .noHealthyInstance,
            message: "No instance of the service is available.", retryAfterSeconds: 1, proxyStatus: "destination_unavailable")
    }

    public static var queueFull: Refusal {
        Refusal(
            status: 503, code: .serviceUnavailable, reason: .queueFull,
            message: "Too many requests wait for the service.", retryAfterSeconds: 1, proxyStatus: "connection_limit_reached")
    }

    public static var queueTimeout: Refusal {
        Refusal(
            status: 503, code: .serviceUnavailable, reason: .queueTimeout,
            message: "No connection to the service became free in time.", retryAfterSeconds: 1,
            proxyStatus: "connection_limit_reached")
    }

    /// - Parameter retryAfterSeconds: until requests are let through again.
    public static func circuitOpen(retryAfterSeconds: Int) -> Refusal {
        Refusal(
            status: 503, code: .circuitOpen, reason: .circuitOpen, message: "The service has failed too often and is left alone.",
            retryAfterSeconds: max(1, retryAfterSeconds), proxyStatus: "destination_unavailable")
    }

    /// Less important requests are turned away while there is too much to do; the connection stays.
    public static var shed: Refusal {
        Refusal(
            status: 503, code: .serviceUnavailable, reason: .overload, message: "The gateway is overloaded.",
            retryAfterSeconds: 1, proxyStatus: "http_request_denied")
    }

    /// The service has as many requests as it can take without slowing down.
    public static var concurrencyLimit: Refusal {
        Refusal(
            status: 503, code: .serviceUnavailable, reason: .overload, message: "The service is overloaded.",
            retryAfterSeconds: 1, proxyStatus: "connection_limit_reached")
    }

    // The backend.

    public static var dnsFailed: Refusal {
        Refusal(
            status: 502, code: .upstreamError, reason: .dnsFailed, message: "The service's address was not found.",
            proxyStatus: "dns_error")
    }

    public static var connectRefused: Refusal {
        Refusal(
            status: 502, code: .upstreamError, reason: .connectRefused, message: "The service refused the connection.",
            proxyStatus: "connection_refused")
    }

    public static var connectFailed: Refusal {
        Refusal(
            status: 502, code: .upstreamError, reason: .connectFailed, message: "The service could not be reached.",
            proxyStatus: "destination_ip_unroutable")
    }

    public static var connectTimeout: Refusal {
        Refusal(
            status: 504, code: .upstreamTimeout, reason: .connectTimeout,
            message: "The service did not accept the connection in time.", proxyStatus: "connection_timeout")
    }

    /// The connection to the backend could not be encrypted, or the backend is not who it should be.
    public static var tlsFailed: Refusal {
        Refusal(
            status: 502, code: .upstreamError, reason: .tlsFailed,
            message: "No secure connection to the service could be made.", proxyStatus: "tls_protocol_error")
    }

    /// Closed or reset before the response's head was whole.
    public static var upstreamReset: Refusal {
        Refusal(
            status: 502, code: .upstreamError, reason: .upstreamReset,
            message: "The service closed the connection before it answered.", proxyStatus: "connection_terminated")
    }

    /// No response head in time.
    public static var upstreamTimeout: Refusal {
        Refusal(
            status: 504, code: .upstreamTimeout, reason: .upstreamTimeout, message: "The service did not answer in time.",
            proxyStatus: "http_response_timeout")
    }

    public static var upstreamMalformed: Refusal {
        Refusal(
            status: 502, code: .upstreamError, reason: .upstreamMalformed, message: "The service's answer is not valid HTTP.",
            proxyStatus: "http_protocol_error")
    }

    public static var upstreamHeaderTooLarge: Refusal {
        Refusal(
            status: 502, code: .upstreamError, reason: .upstreamHeaderTooLarge,
            message: "The header fields of the service's answer are larger than allowed.",
            proxyStatus: "http_response_header_section_size")
    }

    /// The body broke off while the head could still be held back; later, only the log tells.
    public static var upstreamTruncated: Refusal {
        Refusal(
            status: 502, code: .upstreamError, reason: .upstreamTruncated, message: "The service's answer is not complete.",
            proxyStatus: "http_response_incomplete")
    }
}

extension Refusal {
    /// Every situation, for the reference page and the tests.
    public static var all: [Refusal] {
        [
            .badRequest, .unacceptable, .authMissing, .authInvalid, .ipDenied, .originDenied, .misdirected, .webSocketVersion,
            .noRoute, .methodNotAllowed, .methodNeverAllowed,
            .headTimeout, .bodyTimeout,
            .lengthRequired, .bodyTooLarge, .uriTooLong, .expectationFailed, .headerTooLarge, .unknownMethod,
            .unknownTransferCoding, .versionNotSupported, .loopDetected, .internalError, .overload, .draining,
            .maintenance(retryAfterSeconds: 0), .noHealthyInstance, .queueFull, .queueTimeout, .circuitOpen(retryAfterSeconds: 1),
            .shed, .concurrencyLimit, .dnsFailed, .connectRefused, .connectFailed, .connectTimeout, .tlsFailed, .upstreamReset,
            .upstreamTimeout, .upstreamMalformed, .upstreamHeaderTooLarge,
            .upstreamTruncated,
        ]
    }
}

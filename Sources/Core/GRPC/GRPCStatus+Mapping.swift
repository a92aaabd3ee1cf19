import HTTPMessages

/// The one place where failures of HTTP become statuses of gRPC.
extension GRPCStatus {
    /// What a call ends with that the gateway itself refuses.
    ///
    /// A 400 is two things. A request that breaks HTTP comes from a broken gRPC library or something between: 13. One that is
    /// whole, and has something in it that is not accepted here, is for the caller to correct: 3.
    public init(_ refusal: Refusal) {
        switch refusal.status {
        case 400: self = refusal.closes ? .internal : .invalidArgument
        default: self = GRPCStatus(httpStatus: refusal.status)
        }
    }

    /// What a call ends with whose answer has this HTTP status and no status of gRPC.
    ///
    /// 429 and 504 are the gateway's own words here, and say more than gRPC's table for answers of unknown origin makes of them,
    /// which is UNAVAILABLE. 404 is a method that is not served, so 12 (gRPC core, "HTTP to gRPC Status Code Mapping").
    public init(httpStatus: UInt16) {
        switch httpStatus {
        case 400, 411, 417, 500, 505, 508: self = .internal
        case 401: self = .unauthenticated
        case 403: self = .permissionDenied
        case 404, 405, 415, 501: self = .unimplemented
        case 408, 504: self = .deadlineExceeded
        case 413, 414, 429, 431: self = .resourceExhausted
        // 421 and 425: the same request succeeds over another connection.
        case 421, 425, 502, 503: self = .unavailable
        case 499: self = .cancelled
        default: self = .unknown
        }
    }

    /// What a call ends with whose stream to the backend was reset with this code (RFC 9113 §7; gRPC over HTTP2, "Errors").
    /// - Parameter code: nil when the connection was lost, which is as good a time to try again as a refusal.
    public init(http2ErrorCode code: UInt32?) {
        switch code {
        case nil, 0x7: self = .unavailable  // REFUSED_STREAM
        case 0x8: self = .cancelled  // CANCEL
        case 0xb: self = .resourceExhausted  // ENHANCE_YOUR_CALM
        case 0xc: self = .permissionDenied  // INADEQUATE_SECURITY
        default: self = .internal
        }
    }
}

import HTTPMessages
import Primitives

/// What the fields of one request mean for its framing, its connection and its identity, gathered line by line.
struct RequestSemantics {
    private var framing = FramingFields()
    private var connection: ConnectionOptions = []
    private var hostIndex: Int?
    /// One bit for each single-value field that was seen, by raw value.
    private var seen: UInt64 = 0
    private var acceptsTrailers = false
    private var expectsContinue = false

    /// A complete line with one of the ids that decide something.
    mutating func fieldReceived(_ id: FieldID, _ value: RawSpan, at index: Int, version: HTTPVersion) -> RequestFault? {
        switch id {
        case .host:
            if hostIndex != nil { return .duplicateHost }
            hostIndex = index
        case .contentLength:
            return framing.contentLengthReceived(value).map(RequestFault.framing)
        case .transferEncoding:
            return framing.transferEncodingReceived(value, version: version).map(RequestFault.framing)
        case .connection:
            connection.insert(listIn: value)
        case .te:
            var elements = ListElements(value)
            while let range = elements.next() {
                if value.extracting(range).equals(ignoringCase: "trailers") { acceptsTrailers = true }
            }
        case .expect:
            switch version {
            case .http10: break  // A 1.0 client cannot know the expectation (RFC 9110 §10.1.1).
            case .http11, .http2:
                guard isFirst(id), value.equals(ignoringCase: "100-continue") else { return .unknownExpectation }
                expectsContinue = true
            }
        case .upgrade:
            _ = isFirst(id)
        case .authorization, .xAPIKey, .origin:
            if !isFirst(id) { return .duplicateField }
        case .other, .keepAlive, .proxyConnection, .trailer, .http2Settings, .proxyAuthorization, .proxyAuthenticate, .via,
            .maxForwards, .forwarded, .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .xForwardedPrefix,
            .xRealIP, .trueClientIP, .xOriginalURL, .xRewriteURL, .xHTTPMethodOverride, .xHTTPMethod, .xMethodOverride,
            .xRequestID, .xTimestamp, .cookie, .contentType, .accept, .userAgent, .referer, .date, .server, .retryAfter,
            .location, .allow, .cacheControl, .setCookie, .proxyStatus, .contentEncoding, .xAuthSubject, .xAuthScopes,
            .xAuthRoles, .xAuthOrg, .xAuthMethod, .xUserID, .xScopes, .xConsumer, .clientCert, .xRequestTimeout,
            .idempotencyKey, .xSluiceRetry:
            break
        }
        return nil
    }

    /// The empty line has come: judges the head as a whole and writes the verdicts into it.
    mutating func headReceived(_ head: inout RequestHead) -> RequestFault? {
        switch head.version {
        case .http11, .http2:
            guard hostIndex != nil else { return .missingHost }
            head.wantsKeepAlive = !connection.contains(.close)
            head.wantsUpgrade = connection.contains(.upgrade) && seen & bit(.upgrade) != 0
        case .http10:
            head.wantsKeepAlive = connection.contains(.keepAlive) && !connection.contains(.close)
            head.wantsUpgrade = false
        }
        head.hostIndex = hostIndex
        head.hasConnectionOptions = connection.contains(.other)
        head.acceptsTrailers = acceptsTrailers
        var hasBody = framing.isChunked
        if framing.isChunked {
            head.framing = .chunked
        } else if let length = framing.contentLength {
            head.framing = .length(length)
            hasBody = length > 0
        }
        head.expectsContinue = expectsContinue && hasBody
        return nil
    }

    @inline(__always)
    private func bit(_ id: FieldID) -> UInt64 { 1 &<< UInt64(id.rawValue) }

    @inline(__always)
    private mutating func isFirst(_ id: FieldID) -> Bool {
        let first = seen & bit(id) == 0
        seen |= bit(id)
        return first
    }
}

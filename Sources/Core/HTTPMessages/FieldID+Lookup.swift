import Primitives

extension FieldID {
    /// The id of a field name in any case; `.other` for names that the gateway has no use for.
    ///
    /// Length and one byte leave one candidate (two in one place), which is then compared eight bytes at a time. Exact for
    /// every input: only ASCII letters fold, so that `Content\rLength` is not `content-length`, nor K (U+212A) a `k`.
    public init(lowercasing name: RawSpan) {
        self = name.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return .other }
            return FieldID.lookUp(start, buffer.count)
        }
    }

    /// The id that the name would have if its underscores were dashes; `.other` when there is none.
    ///
    /// CGI-style backends fold `X_Forwarded_For` and `X-Forwarded-For` into one variable.
    public init(readingUnderscoresAsDashes name: RawSpan) {
        guard name.byteCount <= FieldID.longestName else {
            self = .other
            return
        }
        self = withUnsafeTemporaryAllocation(byteCount: FieldID.longestName, alignment: 1) { copy in
            guard let start = copy.baseAddress else { return .other }
            for i in 0..<name.byteCount {
                copy[i] = name[i] == ASCII.underscore ? ASCII.dash : name[i]
            }
            return FieldID.lookUp(UnsafeRawPointer(start), name.byteCount)
        }
    }

    /// Bytes of `x-http-method-override`.
    static var longestName: Int { 22 }

    /// Whether framing, routing, authentication, forwarding or the gateway's own marks depend on this field: nothing that a
    /// backend may take for it is let through.
    public var isDecisive: Bool {
        switch self {
        case .other, .accept, .userAgent, .referer, .date, .server, .retryAfter, .location, .allow, .cacheControl, .setCookie,
            .proxyStatus, .contentEncoding:
            false
        case .host, .contentLength, .transferEncoding, .connection, .keepAlive, .proxyConnection, .te, .trailer, .upgrade,
            .http2Settings, .proxyAuthorization, .proxyAuthenticate, .expect, .via, .maxForwards, .forwarded, .xForwardedFor,
            .xForwardedProto, .xForwardedHost, .xForwardedPort, .xForwardedPrefix, .xRealIP, .trueClientIP, .xOriginalURL,
            .xRewriteURL, .xHTTPMethodOverride, .xHTTPMethod, .xMethodOverride, .xRequestID, .xTimestamp, .authorization,
            .xAPIKey, .origin, .cookie, .contentType, .xAuthSubject, .xAuthScopes, .xAuthRoles, .xAuthOrg, .xAuthMethod,
            .xUserID, .xScopes, .xConsumer, .clientCert, .xRequestTimeout, .idempotencyKey, .xSluiceRetry:
            true
        }
    }

    /// `name` points to `count` readable bytes for as long as the call lasts.
    private static func lookUp(_ name: UnsafeRawPointer, _ count: Int) -> FieldID {
        switch count {
        case 2: return named(name, "te", .te)
        case 3: return named(name, "via", .via)
        case 4: return folded(name, 0) == 0x68 ? named(name, "host", .host) : named(name, "date", .date)
        case 5: return named(name, "allow", .allow)
        case 6:
            switch folded(name, 1) {
            case UInt8(ascii: "c"): return named(name, "accept", .accept)
            case UInt8(ascii: "o"): return named(name, "cookie", .cookie)
            case UInt8(ascii: "x"): return named(name, "expect", .expect)
            case UInt8(ascii: "r"): return named(name, "origin", .origin)
            default: return named(name, "server", .server)
            }
        case 7:
            switch folded(name, 0) {
            case UInt8(ascii: "t"): return named(name, "trailer", .trailer)
            case UInt8(ascii: "u"): return named(name, "upgrade", .upgrade)
            default: return named(name, "referer", .referer)
            }
        case 8: return folded(name, 0) == 0x78 ? named(name, "x-scopes", .xScopes) : named(name, "location", .location)
        case 9:
            switch folded(name, 3) {
            case UInt8(ascii: "w"): return named(name, "forwarded", .forwarded)
            case UInt8(ascii: "e"): return named(name, "x-real-ip", .xRealIP)
            case UInt8(ascii: "p"): return named(name, "x-api-key", .xAPIKey)
            default: return named(name, "x-user-id", .xUserID)
            }
        case 10:
            switch folded(name, 3) {
            case UInt8(ascii: "n"): return named(name, "connection", .connection)
            case UInt8(ascii: "p"): return named(name, "keep-alive", .keepAlive)
            case UInt8(ascii: "r"): return named(name, "user-agent", .userAgent)
            case UInt8(ascii: "-"): return named(name, "set-cookie", .setCookie)
            case UInt8(ascii: "u"): return named(name, "x-auth-org", .xAuthOrg)
            default: return named(name, "x-consumer", .xConsumer)
            }
        case 11:
            switch folded(name, 0) {
            case UInt8(ascii: "x"): return named(name, "x-timestamp", .xTimestamp)
            case UInt8(ascii: "r"): return named(name, "retry-after", .retryAfter)
            default: return named(name, "client-cert", .clientCert)
            }
        case 12:
            switch folded(name, 2) {
            case UInt8(ascii: "x"): return named(name, "max-forwards", .maxForwards)
            case UInt8(ascii: "r"): return named(name, "x-request-id", .xRequestID)
            case UInt8(ascii: "n"): return named(name, "content-type", .contentType)
            case UInt8(ascii: "o"): return named(name, "proxy-status", .proxyStatus)
            default: return named(name, "x-auth-roles", .xAuthRoles)
            }
        case 13:
            switch folded(name, 2) {
            case UInt8(ascii: "t"): return named(name, "authorization", .authorization)
            case UInt8(ascii: "c"): return named(name, "cache-control", .cacheControl)
            case UInt8(ascii: "r"): return named(name, "x-rewrite-url", .xRewriteURL)
            case UInt8(ascii: "h"): return named(name, "x-http-method", .xHTTPMethod)
            default:
                return same(name, "x-auth-scopes") ? .xAuthScopes : named(name, "x-auth-method", .xAuthMethod)
            }
        case 14:
            switch folded(name, 3) {
            case UInt8(ascii: "t"): return named(name, "content-length", .contentLength)
            case UInt8(ascii: "p"): return named(name, "http2-settings", .http2Settings)
            case UInt8(ascii: "e"): return named(name, "true-client-ip", .trueClientIP)
            case UInt8(ascii: "r"): return named(name, "x-original-url", .xOriginalURL)
            case UInt8(ascii: "l"): return named(name, "x-sluice-retry", .xSluiceRetry)
            default: return named(name, "x-auth-subject", .xAuthSubject)
            }
        case 15:
            return folded(name, 0) == 0x78
                ? named(name, "x-forwarded-for", .xForwardedFor) : named(name, "idempotency-key", .idempotencyKey)
        case 16:
            switch folded(name, 12) {
            case UInt8(ascii: "t"): return named(name, "proxy-connection", .proxyConnection)
            case UInt8(ascii: "h"): return named(name, "x-forwarded-host", .xForwardedHost)
            case UInt8(ascii: "p"): return named(name, "x-forwarded-port", .xForwardedPort)
            default: return named(name, "content-encoding", .contentEncoding)
            }
        case 17:
            switch folded(name, 2) {
            case UInt8(ascii: "a"): return named(name, "transfer-encoding", .transferEncoding)
            case UInt8(ascii: "f"): return named(name, "x-forwarded-proto", .xForwardedProto)
            case UInt8(ascii: "r"): return named(name, "x-request-timeout", .xRequestTimeout)
            default: return named(name, "x-method-override", .xMethodOverride)
            }
        case 18:
            return folded(name, 0) == 0x78
                ? named(name, "x-forwarded-prefix", .xForwardedPrefix) : named(name, "proxy-authenticate", .proxyAuthenticate)
        case 19: return named(name, "proxy-authorization", .proxyAuthorization)
        case 22: return named(name, "x-http-method-override", .xHTTPMethodOverride)
        default: return .other
        }
    }

    @inline(__always)
    private static func folded(_ name: UnsafeRawPointer, _ offset: Int) -> UInt8 {
        let byte = name.load(fromByteOffset: offset, as: UInt8.self)
        return byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    @inline(__always)
    private static func named(_ name: UnsafeRawPointer, _ text: StaticString, _ id: FieldID) -> FieldID {
        same(name, text) ? id : .other
    }

    /// Compares the `text.utf8CodeUnitCount` bytes at `name` with a text of lower-case letters, digits and dashes. Loads overlap,
    /// so that none reaches past the end.
    @inline(__always)
    private static func same(_ name: UnsafeRawPointer, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        let wanted = UnsafeRawPointer(text.utf8Start)
        if count >= 8 {
            if differ(name, wanted, 0, as: UInt64.self) || differ(name, wanted, count - 8, as: UInt64.self) { return false }
            return count <= 16 || !differ(name, wanted, 8, as: UInt64.self)
        }
        if count >= 4 {
            return !(differ(name, wanted, 0, as: UInt32.self) || differ(name, wanted, count - 4, as: UInt32.self))
        }
        return !(differ(name, wanted, 0, as: UInt16.self) || differ(name, wanted, count - 2, as: UInt16.self))
    }

    /// Of the bytes in `wanted` only letters have bit 0x40, so that moved one place down it is the case bit of the letters alone.
    @inline(__always)
    private static func differ<Word: FixedWidthInteger & BitwiseCopyable>(
        _ name: UnsafeRawPointer, _ wanted: UnsafeRawPointer, _ offset: Int, as: Word.Type
    ) -> Bool {
        let word = wanted.loadUnaligned(fromByteOffset: offset, as: Word.self)
        let caseBits = (word &>> 1) & (Word.max / 255 &* 0x20)
        return name.loadUnaligned(fromByteOffset: offset, as: Word.self) | caseBits != word
    }
}

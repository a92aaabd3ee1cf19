import HTTPMessages

/// A set of fields that the gateway knows by id, in one word: what a loop over a head tests each field against.
public struct FieldSet: Equatable, Sendable, ExpressibleByArrayLiteral {
    @usableFromInline var bits: UInt64

    @inlinable
    public init() { bits = 0 }

    /// The set of this one field. There are fewer than 64 ids; a test holds that.
    @inlinable
    public init(_ id: FieldID) { bits = 1 &<< UInt64(id.rawValue) }

    public init(arrayLiteral elements: FieldID...) {
        bits = 0
        for id in elements { bits |= FieldSet(id).bits }
    }

    @inlinable
    public func contains(_ id: FieldID) -> Bool { intersects(FieldSet(id)) }

    @inlinable
    public func intersects(_ other: FieldSet) -> Bool { bits & other.bits != 0 }

    @inlinable
    public static func | (a: FieldSet, b: FieldSet) -> FieldSet {
        var result = a
        result.bits |= b.bits
        return result
    }

    @inlinable
    public static func & (a: FieldSet, b: FieldSet) -> FieldSet {
        var result = a
        result.bits &= b.bits
        return result
    }
}

extension FieldSet {
    /// Fields that speak to the next hop only (RFC 9110 §7.6.1, RFC 9112 §6), and those that each leg writes anew.
    public static var hopByHop: FieldSet {
        [
            .connection, .keepAlive, .proxyConnection, .te, .trailer, .transferEncoding, .upgrade, .http2Settings,
            .proxyAuthorization, .proxyAuthenticate, .expect, .contentLength,
        ]
    }

    /// Who the caller is, as the gateway tells the backend; nobody else may say it (RFC 9440 §4 for `Client-Cert`).
    public static var identity: FieldSet {
        [.xAuthSubject, .xAuthScopes, .xAuthRoles, .xAuthOrg, .xAuthMethod, .xUserID, .xScopes, .xConsumer, .clientCert]
    }

    /// Fields that ask the backend to act under another method than the one that was routed and authorised.
    public static var methodOverride: FieldSet { [.xHTTPMethodOverride, .xHTTPMethod, .xMethodOverride] }

    /// The de-facto family in which proxies tell about the client.
    public static var xForwarded: FieldSet {
        [.xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort, .xForwardedPrefix, .xRealIP]
    }

    /// Those of the family that say who the client is and how it came.
    public static var xClient: FieldSet { [.xForwardedFor, .xForwardedProto, .xForwardedHost] }

    /// What only a proxy in front of us may say of the client or of the target that it saw.
    public static var trustedOnly: FieldSet { xForwarded | [.forwarded, .trueClientIP, .xOriginalURL, .xRewriteURL] }

    /// Fields of which a second one is an attempt to be read in two ways.
    public static var single: FieldSet { [.host, .authorization, .xAPIKey, .origin, .contentType, .maxForwards] }

    /// What neither a header rule nor a custom middleware may write: the gateway does.
    public static var gatewayOwned: FieldSet {
        hopByHop | xForwarded | [.host, .forwarded, .via, .maxForwards, .xRequestID, .xRequestTimeout, .xSluiceRetry, .date]
    }
}

import HTTPMessages
import Primitives

/// What a request's wish to change the protocol is worth.
public enum UpgradeVerdict: Equatable, Sendable {
    /// It has none, or none that this route grants: it goes on as any other, without `Upgrade` (RFC 9110 §7.8 lets a server
    /// ignore the field).
    case ordinary
    /// A handshake as RFC 6455 §4.2.1 wants it; the field at this index holds its key.
    case webSocket(keyIndex: Int)
    /// Another protocol; the index is that of its name in the route's `UpgradeTokens`.
    case other(token: Int)
    case refused(UpgradeFault)
}

/// Why a request for a protocol that the route does grant is turned down.
public enum UpgradeFault: Equatable, Sendable {
    /// It has a body, and where that ends and the new protocol begins is read in different ways.
    case body
    /// Not GET.
    case method
    /// `Sec-WebSocket-Version` is missing, is there twice or is not 13.
    case version
    /// `Sec-WebSocket-Key` is missing, is there twice or does not stand for 16 bytes.
    case key
    /// An extended CONNECT (RFC 8441) for a protocol that the route does not list.
    case notListed

    /// The rule that was broken, for the log.
    public var name: StaticString {
        switch self {
        case .body: "upgrade_with_body"
        case .method: "websocket_method"
        case .version: "websocket_version"
        case .key: "websocket_key"
        case .notListed: "extended_connect_not_listed"
        }
    }

    public var refusal: Refusal {
        switch self {
        case .body: .unacceptable.closing()
        case .method, .key: .unacceptable
        case .version: .webSocketVersion
        case .notListed: .methodNotAllowed
        }
    }

    /// Adds what the answer has beside the fields of its refusal: the version to ask for (RFC 6455 §4.4), and for HTTP/1.1 the
    /// protocol, which a 426 must name (RFC 9110 §15.5.22) and HTTP/2 does not know as a field.
    public func addFields(to head: inout ResponseHead, isHTTP2: Bool) {
        switch self {
        case .body, .method, .key, .notListed: break
        case .version:
            head.headers.add(named: "Sec-WebSocket-Version", value: "13")
            if !isHTTP2 {
                head.headers.addComposed(.upgrade) { $0.append("websocket") }
                head.headers.addComposed(.connection) { $0.append("Upgrade") }
            }
        }
    }
}

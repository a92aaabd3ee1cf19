import Pipeline
import Primitives
import WebSocket

/// The protocol that a request changes to, as its route lists it.
struct Upgrade {
    /// The place of its name in the route's list.
    var name: Int
    /// The field that holds the key of a WebSocket; -1 where it is something else.
    var key: Int

    var isWebSocket: Bool { key >= 0 }
}

/// What a route says of tunnels.
public final class TunnelRules: Sendable {
    let tokens: UpgradeTokens
    let webSocketIndex: Int
    let origins: OriginRule
    /// Without a byte either way.
    let idleTimeout: TimeAmount

    public init(protocols: [String], origins: OriginRule, idleTimeout: TimeAmount) {
        tokens = UpgradeTokens(protocols)
        webSocketIndex = protocols.firstIndex(of: "websocket") ?? 0
        self.origins = origins
        self.idleTimeout = idleTimeout
    }
}

/// A connection that has changed its protocol: how far its two directions are.
struct Tunnel {
    let idleTimeout: TimeAmount
    let isWebSocket: Bool
    private var upward: FrameScanner
    private var downward: FrameScanner
    var clientHasEnded = false
    var backendHasEnded = false
    /// Its end has been asked for.
    var isClosing = false
    /// The gateway has said Close to the client: nothing of the backend's follows (RFC 6455 §5.5.1).
    var hasSaidCloseDown = false
    /// And to the backend.
    var hasSaidCloseUp = false

    init(idleTimeout: TimeAmount, isWebSocket: Bool, hasExtensions: Bool) {
        self.idleTimeout = idleTimeout
        self.isWebSocket = isWebSocket
        upward = FrameScanner(sender: .client, hasExtensions: hasExtensions)
        downward = FrameScanner(sender: .server, hasExtensions: hasExtensions)
    }

    /// Bytes from the client have passed.
    @inline(__always)
    mutating func up(_ bytes: RawSpan) {
        if isWebSocket { _ = upward.feed(bytes) }
    }

    /// Bytes from the backend have passed.
    @inline(__always)
    mutating func down(_ bytes: RawSpan) {
        if isWebSocket { _ = downward.feed(bytes) }
    }

    /// Whole messages that have passed.
    var messages: (up: UInt64, down: UInt64) { (upward.messages, downward.messages) }

    /// Both ends have said that they close.
    var isOver: Bool { upward.closeCode != nil && downward.closeCode != nil }

    /// A Close frame to the client would not land inside another frame, nor behind the backend's own, nor behind its end.
    var mayCloseDown: Bool { !hasSaidCloseDown && !backendHasEnded && downward.isAtFrameBoundary && downward.closeCode == nil }
    var mayCloseUp: Bool { !hasSaidCloseUp && !clientHasEnded && upward.isAtFrameBoundary && upward.closeCode == nil }
}

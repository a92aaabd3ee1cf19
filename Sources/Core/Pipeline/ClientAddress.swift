import HTTPMessages
import Primitives

/// Which fields tell the backend about the client. From trusted proxies both families are read (`ToldClient`).
///
/// A family that the gateway does not write is never passed on, since nobody would have checked it; what it says is written in the
/// other.
public enum ForwardedStyle: UInt8, Sendable {
    /// `X-Forwarded-*` and `X-Real-IP`.
    case x
    /// `Forwarded` (RFC 7239).
    case rfc7239
    /// Both, from one verdict: `X-Forwarded-*` is asked first.
    case both

    var writesX: Bool { self != .rfc7239 }
    var writesForwarded: Bool { self != .x }
}

/// Who the client is, where proxies in front of us may speak for it.
public enum ClientAddress {
    /// Hops that are followed; a longer run of trusted ones is not believed at all.
    static let hopsMax = 20

    /// The right-most hop that is no trusted proxy; where all hops are trusted, the left-most. A hop on the way there that is no
    /// address, or more than `hopsMax` of them, leaves the peer: nothing of such a list is believed. What stands left of the
    /// answer is not read, since the client may have written it, and must not be able to hide behind our own proxy.
    public static func resolve(
        _ headers: borrowing HeaderBlock, peer: IPAddress, trusted: [AddressBlock], style: ForwardedStyle = .x
    ) -> (client: IPAddress, isTrustedPeer: Bool) {
        guard isTrusted(peer, trusted) else { return (peer, false) }
        var received = FieldSet()
        for i in 0..<headers.count { received = received | FieldSet(headers.fields[i].id) }
        return (told(headers, received: received, trusted: trusted, style: style).address ?? peer, true)
    }

    @inline(__always)
    static func isTrusted(_ address: IPAddress, _ trusted: [AddressBlock]) -> Bool {
        for i in trusted.indices where trusted[i].contains(address) { return true }
        return false
    }

    static func readXForwardedFor(_ value: RawSpan, into hops: inout HopList) {
        var rest = value
        while let comma = rest.firstIndex(of: ASCII.comma) {
            hops.append(ToldHop(address: address(rest.extracting(0..<comma).trimmingWhitespace())))
            rest = rest.extracting((comma + 1)..<rest.byteCount)
        }
        hops.append(ToldHop(address: address(rest.trimmingWhitespace())))
    }

    /// An address as proxies write it: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
    static func address(_ text: RawSpan) -> IPAddress? {
        guard let colon = text.firstIndex(of: ASCII.colon) else { return IPAddress(text) }
        if text[0] == UInt8(ascii: "[") {
            guard let end = text.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            guard end + 1 == text.byteCount || isPort(text.extracting((end + 1)..<text.byteCount)) else { return nil }
            let inner = text.extracting(1..<end)
            return inner.firstIndex(of: ASCII.colon) == nil ? nil : IPAddress(inner)
        }
        let behind = text.extracting((colon + 1)..<text.byteCount)
        if behind.firstIndex(of: ASCII.colon) != nil { return IPAddress(text) }
        guard isPort(text.extracting(colon..<text.byteCount)) else { return nil }
        return IPAddress(text.extracting(0..<colon))
    }

    /// A colon and one to five digits.
    private static func isPort(_ text: RawSpan) -> Bool {
        guard text.byteCount >= 2, text.byteCount <= 6, text[0] == ASCII.colon else { return false }
        for k in 1..<text.byteCount where !ASCII.isDigit(text[k]) { return false }
        return true
    }
}

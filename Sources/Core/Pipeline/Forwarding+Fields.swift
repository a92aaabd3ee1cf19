import HTTPMessages
import Primitives

extension Forwarding {
    /// Appends the gateway's own field lines, each with its line end.
    ///
    /// - Parameters:
    ///   - authority: the instance's own name, for `Host` where the rule or the lack of another one asks for it.
    ///   - closes: the upstream connection is not to be used again. Otherwise nothing is said: HTTP/1.1 keeps it.
    /// - Returns: false when a value has a byte that may not stand in a field; the caller drops the whole head.
    public func appendFields(
        to out: inout ByteBuffer, head: borrowing RequestHead, context: borrowing RequestContext, authority: RawSpan,
        closes: Bool = false
    ) -> Bool {
        out.reserve(512)
        var isGood = appendHost(to: &out, head, authority)
        if context.forwardedStyle.writesX, !appendXForwarded(to: &out, head, context) { isGood = false }
        if context.forwardedStyle.writesForwarded, !appendForwarded(to: &out, head, context) { isGood = false }
        switch head.version {
        case .http11: out.append(via11)
        case .http10: out.append(via10)
        }
        out.append(requestIDPrefix)
        if !out.append(checkedValue: context.requestID) { isGood = false }
        out.append("\r\n")
        if rule.addsTimestamp {
            out.append("X-Timestamp: ")
            Timestamp(unixNanoseconds: context.unixNanoseconds).appendRFC3339(to: &out)
            out.append("\r\n")
        }
        if context.maxForwards >= 0 {
            out.append("Max-Forwards: ")
            out.append(decimal: UInt64(context.maxForwards))
            out.append("\r\n")
        }
        if rule.takesTrailers, head.acceptsTrailers {
            out.append(closes ? "TE: trailers\r\nConnection: close, TE\r\n" : "TE: trailers\r\nConnection: TE\r\n")
        } else if closes {
            out.append("Connection: close\r\n")
        }
        return appendFraming(to: &out, head.framing) && isGood
    }

    /// The body is framed for the backend as it was declared, whatever the method (RFC 9110 §9.3.1): a GET's body that lost its
    /// length on the way would be the backend's next request.
    private func appendFraming(to out: inout ByteBuffer, _ framing: BodyFraming) -> Bool {
        switch framing {
        case .none: return true
        case .length(let count):
            out.append("Content-Length: ")
            out.append(decimal: count)
            out.append("\r\n")
            return true
        case .chunked:
            out.append("Transfer-Encoding: chunked\r\n")
            return true
        case .untilClose: return false
        }
    }

    /// `Host`, where none of the received fields is left to say it.
    @inline(__always)
    private func appendHost(to out: inout ByteBuffer, _ head: borrowing RequestHead, _ authority: RawSpan) -> Bool {
        if let index = head.hostIndex, index < head.headers.count, !head.headers.fields[index].isRemoved { return true }
        return appendOwnHost(to: &out, head, authority)
    }

    @inline(never)
    private func appendOwnHost(to out: inout ByteBuffer, _ head: borrowing RequestHead, _ authority: RawSpan) -> Bool {
        out.append("Host: ")
        var isGood = true
        switch rule.host {
        case .fromClient:
            // A client of HTTP/1.0 need not say a host; then the instance's own is as good as any.
            if !appendClientHost(to: &out, head) { isGood = out.append(checkedValue: authority) }
        case .ofInstance: isGood = out.append(checkedValue: authority)
        case .literal(let host): isGood = out.append(checkedValue: host.span.bytes)
        }
        out.append("\r\n")
        return isGood
    }

    /// Appends the canonical host and port; false, and nothing, when the client named none. Both were checked when read.
    private func appendClientHost(to out: inout ByteBuffer, _ head: borrowing RequestHead) -> Bool {
        guard !head.host.isEmpty, out.append(checkedValue: head.bytes(head.host)) else { return false }
        if head.port != 0 {
            out.append(ASCII.colon)
            out.append(decimal: UInt64(head.port))
        }
        return true
    }

    /// `X-Forwarded-*` and `X-Real-IP`. What a trusted peer said of host, port, protocol and client stays as it is: it has seen
    /// the client; of the others, nothing was left. The list of addresses is one field, since many read only the first.
    private func appendXForwarded(
        to out: inout ByteBuffer, _ head: borrowing RequestHead, _ context: borrowing RequestContext
    ) -> Bool {
        var isGood = true
        let kept = context.isTrustedPeer ? context.received : FieldSet()
        if kept.contains(.xForwardedFor) {
            isGood = appendForwardedFor(to: &out, head, context)
        } else if !context.peerIsUnixSocket {
            out.append("X-Forwarded-For: ")
            context.peerAddress.appendText(to: &out)
            out.append("\r\n")
        }
        if !kept.contains(.xRealIP), context.hasClientAddress {
            out.append("X-Real-IP: ")
            context.clientAddress.appendText(to: &out)
            out.append("\r\n")
        }
        var scheme = context.scheme
        if kept.contains(.xForwardedProto) {
            scheme = forwardedScheme(head.headers) ?? scheme
        } else {
            out.append(scheme == .https ? "X-Forwarded-Proto: https\r\n" : "X-Forwarded-Proto: http\r\n")
        }
        if !kept.contains(.xForwardedHost), !head.host.isEmpty {
            out.append("X-Forwarded-Host: ")
            if !appendClientHost(to: &out, head) { isGood = false }
            out.append("\r\n")
        }
        if !kept.contains(.xForwardedPort) {
            out.append("X-Forwarded-Port: ")
            let port = head.port != 0 ? head.port : scheme.defaultPort
            out.append(decimal: UInt64(port))
            out.append("\r\n")
        }
        if !rule.strippedPrefix.isEmpty {
            out.append("X-Forwarded-Prefix: ")
            if kept.contains(.xForwardedPrefix), !appendOuterPrefix(to: &out, head.headers) { isGood = false }
            out.append(rule.strippedPrefix)
            out.append("\r\n")
        }
        return isGood
    }

    /// What a trusted peer said before, in all fields, and the peer.
    private func appendForwardedFor(
        to out: inout ByteBuffer, _ head: borrowing RequestHead, _ context: borrowing RequestContext
    ) -> Bool {
        var isGood = true
        out.append("X-Forwarded-For: ")
        var isFirst = true
        for i in 0..<head.headers.count where head.headers.fields[i].id == .xForwardedFor {
            if head.headers.fields[i].valueCount == 0 { continue }
            if !isFirst { out.append(", ") }
            isFirst = false
            if !out.append(checkedValue: head.headers.value(i)) { isGood = false }
        }
        if !context.peerIsUnixSocket {
            if !isFirst { out.append(", ") }
            context.peerAddress.appendText(to: &out)
        }
        out.append("\r\n")
        return isGood
    }

    /// The prefix that a trusted proxy in front of us stripped before; it comes first.
    private func appendOuterPrefix(to out: inout ByteBuffer, _ headers: borrowing HeaderBlock) -> Bool {
        for i in 0..<headers.count where headers.fields[i].id == .xForwardedPrefix {
            return out.append(checkedValue: headers.value(i))
        }
        return true
    }

    private func forwardedScheme(_ headers: borrowing HeaderBlock) -> Scheme? {
        guard let index = headers.firstIndex(of: .xForwardedProto) else { return nil }
        if headers.value(index).equals(ignoringCase: "https") { return .https }
        return headers.value(index).equals(ignoringCase: "http") ? .http : nil
    }

    /// `Forwarded` (RFC 7239 §4): what a trusted peer said before, and an element for the peer.
    private func appendForwarded(
        to out: inout ByteBuffer, _ head: borrowing RequestHead, _ context: borrowing RequestContext
    ) -> Bool {
        var isGood = true
        out.append("Forwarded: ")
        if context.isTrustedPeer, context.received.contains(.forwarded) {
            for i in 0..<head.headers.count where head.headers.fields[i].id == .forwarded {
                if head.headers.fields[i].valueCount == 0 { continue }
                if !out.append(checkedValue: head.headers.value(i)) { isGood = false }
                out.append(", ")
            }
        }
        if context.peerIsUnixSocket {
            out.append("for=unknown")
        } else if context.peerAddress.isV4 {
            out.append("for=")
            context.peerAddress.appendText(to: &out)
        } else {
            out.append("for=\"[")
            context.peerAddress.appendText(to: &out)
            out.append("]\"")
        }
        if !head.host.isEmpty, isQuotable(head.bytes(head.host)) {
            out.append(";host=\"")
            if !appendClientHost(to: &out, head) { isGood = false }
            out.append("\"")
        }
        out.append(context.scheme == .https ? ";proto=https\r\n" : ";proto=http\r\n")
        return isGood
    }

    /// Whether the host can stand between quotes without escapes; every host that is one can.
    private func isQuotable(_ host: RawSpan) -> Bool {
        host.firstIndex(of: ASCII.quote) == nil && host.firstIndex(of: ASCII.backslash) == nil
    }
}

import HTTPMessages
import Primitives

extension Forwarding {
    /// Appends the gateway's own field lines, each with its line end: they are the last of the head.
    ///
    /// - Parameters:
    ///   - authority: the instance's own name, for `Host` where the rule or the lack of another one asks for it.
    ///   - closes: the upstream connection is not to be used again. Otherwise nothing is said: HTTP/1.1 keeps it.
    /// - Returns: false when a value has a byte that may not stand in a field; the caller drops the whole head.
    public func appendFields(
        to out: inout ByteBuffer, head: borrowing RequestHead, context: borrowing RequestContext, authority: RawSpan,
        closes: Bool = false
    ) -> Bool {
        var isGood = true
        if !hasHost(head), !appendHost(to: &out, head, authority) { isGood = false }
        // What a trusted peer said stays: it has seen the client. Of the others, nothing was left.
        let kept = context.isTrustedPeer ? context.received : FieldSet()
        if context.forwardedStyle.writesX {
            if kept.contains(.xForwardedFor), !appendForwardedFor(to: &out, head, context) { isGood = false }
            if !rule.strippedPrefix.isEmpty, !appendPrefix(to: &out, head, kept) { isGood = false }
            var scheme = context.scheme
            if kept.contains(.xForwardedProto) { scheme = forwardedScheme(head) ?? scheme }
            let port = head.port != 0 ? head.port : scheme.defaultPort
            if !appendXForwarded(to: &out, host: head.bytes(clientHost(head)), port, kept, context) { isGood = false }
        }
        if context.forwardedStyle.writesForwarded, !appendForwarded(to: &out, head, context) { isGood = false }
        if rule.addsTimestamp { appendTimestamp(to: &out, context) }
        if context.maxForwards >= 0 { appendMaxForwards(to: &out, context.maxForwards) }
        if !appendPassage(to: &out, isHTTP10: head.version == .http10, requestID: context.requestID) { isGood = false }
        if rule.takesTrailers, head.acceptsTrailers {
            out.appendLine(closes ? "TE: trailers\r\nConnection: close, TE" : "TE: trailers\r\nConnection: TE")
        } else if closes {
            out.appendLine("Connection: close")
        }
        return appendFraming(to: &out, head.framing) && isGood
    }

    /// The body is framed for the backend as it was declared, whatever the method (RFC 9110 §9.3.1): a GET's body that lost its
    /// length on the way would be the backend's next request.
    @inline(__always)
    private func appendFraming(to out: inout ByteBuffer, _ framing: BodyFraming) -> Bool {
        switch framing {
        case .none: return true
        case .length(let count): out.appendLine("Content-Length: ", decimal: count)
        case .chunked: out.appendLine("Transfer-Encoding: chunked")
        case .untilClose: return false
        }
        return true
    }

    /// `X-Forwarded-*` and `X-Real-IP` but for the rare ones, in one go.
    ///
    /// The room is for two addresses of up to 39 bytes, the port, 86 bytes of names and line ends, and the host.
    private func appendXForwarded(
        to out: inout ByteBuffer, host: RawSpan, _ port: UInt16, _ kept: FieldSet, _ context: borrowing RequestContext
    ) -> Bool {
        let peer = context.peerAddress
        let client = context.clientAddress
        let writesPeer = !kept.contains(.xForwardedFor) && !context.peerIsUnixSocket
        let writesClient = !kept.contains(.xRealIP) && context.hasClientAddress
        let isSecure = context.scheme == .https
        out.withFreeSpace(256 + host.byteCount) { room in
            var line = TextCursor(room)
            if writesPeer {
                line.write("X-Forwarded-For: ")
                line.write(address: peer)
                line.write("\r\n")
            }
            if writesClient {
                line.write("X-Real-IP: ")
                line.write(address: client)
                line.write("\r\n")
            }
            if !kept.contains(.xForwardedProto) {
                if isSecure { line.write("X-Forwarded-Proto: https\r\n") } else { line.write("X-Forwarded-Proto: http\r\n") }
            }
            if !kept.contains(.xForwardedHost), host.byteCount > 0 {
                line.write("X-Forwarded-Host: ")
                line.write(host)
                line.write("\r\n")
            }
            if !kept.contains(.xForwardedPort) {
                line.write("X-Forwarded-Port: ")
                line.write(decimal: UInt64(port))
                line.write("\r\n")
            }
            return line.count
        }
        return host.firstControl(from: 0) == host.byteCount
    }

    /// `Via` and the request id: every request has them.
    @inline(__always)
    private func appendPassage(to out: inout ByteBuffer, isHTTP10: Bool, requestID: RawSpan) -> Bool {
        let passage = isHTTP10 ? passage10 : passage11
        out.append(passage.span.bytes)
        let isGood = out.append(checkedValue: requestID)
        out.appendLine("")
        return isGood
    }

    @inline(__always)
    private func hasHost(_ head: borrowing RequestHead) -> Bool {
        guard let index = head.hostIndex, index < head.headers.count else { return false }
        return !head.headers.fields[index].isRemoved
    }

    /// Where the host that the client asked for stands, with its port; empty in HTTP/1.0 without one. Also when the field
    /// itself has been removed.
    @inline(__always)
    private func clientHost(_ head: borrowing RequestHead) -> Range<Int> {
        guard let index = head.hostIndex, index < head.headers.count else { return 0..<0 }
        let field = head.headers.fields[index]
        return Int(field.valueOffset)..<(Int(field.valueOffset) + Int(field.valueCount))
    }

    /// `Host`, where none of the received fields is left to say it.
    @inline(never)
    private func appendHost(to out: inout ByteBuffer, _ head: borrowing RequestHead, _ authority: RawSpan) -> Bool {
        var isGood = true
        out.appendText("Host: ")
        switch rule.host {
        case .fromClient:
            // A client of HTTP/1.0 need not say a host; then the instance's own is as good as any.
            let host = clientHost(head)
            isGood = host.isEmpty ? out.append(checkedValue: authority) : out.append(checkedValue: head.bytes(host))
        case .ofInstance: isGood = out.append(checkedValue: authority)
        case .literal(let host): isGood = out.append(checkedValue: host.span.bytes)
        }
        out.appendLine("")
        return isGood
    }

    /// The list of addresses: what a trusted peer said before, in all fields, and the peer. One field, since many read only the
    /// first.
    @inline(never)
    private func appendForwardedFor(
        to out: inout ByteBuffer, _ head: borrowing RequestHead, _ context: borrowing RequestContext
    ) -> Bool {
        var isGood = true
        var isFirst = true
        out.appendText("X-Forwarded-For: ")
        for i in 0..<head.headers.count where head.headers.fields[i].id == .xForwardedFor {
            if head.headers.fields[i].valueCount == 0 { continue }
            if !isFirst { out.appendText(", ") }
            isFirst = false
            if !out.append(checkedValue: head.headers.value(i)) { isGood = false }
        }
        if !context.peerIsUnixSocket {
            if !isFirst { out.appendText(", ") }
            out.appendText(of: context.peerAddress)
        }
        out.appendLine("")
        return isGood
    }

    /// The prefix that this route strips, behind one that a trusted proxy in front of us stripped before.
    @inline(never)
    private func appendPrefix(to out: inout ByteBuffer, _ head: borrowing RequestHead, _ kept: FieldSet) -> Bool {
        var isGood = true
        out.appendText("X-Forwarded-Prefix: ")
        if kept.contains(.xForwardedPrefix), let outer = firstReceived(.xForwardedPrefix, head) {
            isGood = out.append(checkedValue: head.headers.value(outer))
        }
        out.append(rule.strippedPrefix)
        out.appendLine("")
        return isGood
    }

    @inline(never)
    private func forwardedScheme(_ head: borrowing RequestHead) -> Scheme? {
        guard let index = firstReceived(.xForwardedProto, head) else { return nil }
        if head.headers.value(index).equals(ignoringCase: "https") { return .https }
        return head.headers.value(index).equals(ignoringCase: "http") ? .http : nil
    }

    /// The first field of this kind, removed or not.
    private func firstReceived(_ id: FieldID, _ head: borrowing RequestHead) -> Int? {
        for i in 0..<head.headers.count where head.headers.fields[i].id == id { return i }
        return nil
    }

    /// `Forwarded` (RFC 7239 §4): what a trusted peer said before, and an element for the peer.
    @inline(never)
    private func appendForwarded(
        to out: inout ByteBuffer, _ head: borrowing RequestHead, _ context: borrowing RequestContext
    ) -> Bool {
        var isGood = true
        out.appendText("Forwarded: ")
        if context.isTrustedPeer, context.received.contains(.forwarded) {
            for i in 0..<head.headers.count where head.headers.fields[i].id == .forwarded {
                if head.headers.fields[i].valueCount == 0 { continue }
                if !out.append(checkedValue: head.headers.value(i)) { isGood = false }
                out.appendText(", ")
            }
        }
        if context.peerIsUnixSocket {
            out.appendText("for=unknown")
        } else if context.peerAddress.isV4 {
            out.appendText("for=")
            out.appendText(of: context.peerAddress)
        } else {
            out.appendText("for=\"[")
            out.appendText(of: context.peerAddress)
            out.appendText("]\"")
        }
        let host = clientHost(head)
        if !host.isEmpty, isQuotable(head.bytes(host)) {
            out.appendText(";host=\"")
            if !out.append(checkedValue: head.bytes(host)) { isGood = false }
            out.appendText("\"")
        }
        out.appendLine(context.scheme == .https ? ";proto=https" : ";proto=http")
        return isGood
    }

    /// Whether the host can stand between quotes without escapes; every host that is one can.
    private func isQuotable(_ host: RawSpan) -> Bool {
        host.firstIndex(of: ASCII.quote) == nil && host.firstIndex(of: ASCII.backslash) == nil
    }

    @inline(never)
    private func appendTimestamp(to out: inout ByteBuffer, _ context: borrowing RequestContext) {
        out.appendText("X-Timestamp: ")
        context.wallClock.appendRFC3339(.milliseconds, into: &out)
        out.appendLine("")
    }

    @inline(never)
    private func appendMaxForwards(to out: inout ByteBuffer, _ hops: Int) {
        out.appendLine("Max-Forwards: ", decimal: UInt64(hops))
    }
}

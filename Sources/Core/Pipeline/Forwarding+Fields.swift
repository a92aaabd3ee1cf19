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
        var kept = context.isTrustedPeer ? context.received : FieldSet()
        let writesX = context.forwardedStyle.writesX
        let writesForwarded = context.forwardedStyle.writesForwarded
        if writesX {
            // What the other family says belongs here.
            if context.told.family == .forwarded { appendToldHost(to: &out, head, context, &kept) }
            if context.told.family == .forwarded, namesHop(context) { kept = kept | [.xForwardedFor] }
            if kept.contains(.xForwardedFor), !appendForwardedFor(to: &out, head, context) { isGood = false }
            if context.hasStrippedPrefix, !appendPrefix(to: &out, head, kept) { isGood = false }
        }
        if writesForwarded, !appendForwarded(to: &out, head, context) { isGood = false }
        if rule.addsTimestamp { appendTimestamp(to: &out, context) }
        if let certificate = context.clientCertificate { appendClientCertificate(to: &out, certificate) }
        if context.maxForwards >= 0 { appendMaxForwards(to: &out, context.maxForwards) }

        // The lines that nearly every request has, in one go. The room is for two addresses of up to 39 bytes, a port, a length,
        // 256 bytes of names, constants and line ends, and the parts whose length is known here.
        let passage =
            switch head.version {
            case .http11: passage11
            case .http2: passage2
            case .http10: passage10
            }
        let host = head.bytes(clientHost(head))
        let requestID = context.requestID
        out.withFreeSpace(512 + host.byteCount + passage.count + requestID.byteCount) { room in
            var lines = TextCursor(room)
            if writesX { write(&lines, room, host, kept, head, context) }
            lines.write(passage.span.bytes)
            lines.write(requestID)
            lines.write("\r\n")
            if rule.takesTrailers, head.acceptsTrailers {
                lines.write("TE: trailers\r\n")
                if closes { lines.write("Connection: close, TE\r\n") } else { lines.write("Connection: TE\r\n") }
            } else if closes {
                lines.write("Connection: close\r\n")
            }
            // The body is framed as it was declared, whatever the method (RFC 9110 §9.3.1): a GET's body that lost its length on
            // the way would be the backend's next request.
            switch head.framing {
            case .none: break
            case .length(let count):
                lines.write("Content-Length: ")
                lines.write(decimal: count)
                lines.write("\r\n")
            case .chunked: lines.write("Transfer-Encoding: chunked\r\n")
            case .untilClose: isGood = false
            }
            return lines.count
        }
        // The same bytes as in `Host`, where that is left for the serialiser, which checks all that it writes. The request id is
        // checked when it is taken over.
        return isGood && context.hasRequestID && (hasHost(head) || host.isFieldValue)
    }

    /// `X-Forwarded-*` and `X-Real-IP`, but for the rare ones.
    @inline(__always)
    private func write(
        _ lines: inout TextCursor, _ room: UnsafeMutableRawBufferPointer, _ host: RawSpan, _ kept: FieldSet,
        _ head: borrowing RequestHead, _ context: borrowing RequestContext
    ) {
        if !kept.contains(.xForwardedFor), !context.peerIsUnixSocket {
            lines.write("X-Forwarded-For: ")
            let start = lines.count
            lines.write(address: context.peerAddress)
            let text = start..<lines.count
            lines.write("\r\n")
            if !kept.contains(.xRealIP), context.clientAddress == context.peerAddress {
                lines.write("X-Real-IP: ")
                lines.write(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: room[text])))
                lines.write("\r\n")
            } else if !kept.contains(.xRealIP) {
                writeRealIP(&lines, context)
            }
        } else if !kept.contains(.xRealIP), context.hasClientAddress {
            writeRealIP(&lines, context)
        }
        let scheme = context.clientScheme
        if !kept.contains(.xForwardedProto) {
            if scheme == .https {
                lines.write("X-Forwarded-Proto: https\r\n")
            } else {
                lines.write("X-Forwarded-Proto: http\r\n")
            }
        }
        if !kept.contains(.xForwardedHost), host.byteCount > 0 {
            lines.write("X-Forwarded-Host: ")
            lines.write(host)
            lines.write("\r\n")
        }
        if !kept.contains(.xForwardedPort) {
            lines.write("X-Forwarded-Port: ")
            lines.write(decimal: UInt64(head.port != 0 ? head.port : scheme.defaultPort))
            lines.write("\r\n")
        }
    }

    private func writeRealIP(_ lines: inout TextCursor, _ context: borrowing RequestContext) {
        lines.write("X-Real-IP: ")
        lines.write(address: context.clientAddress)
        lines.write("\r\n")
    }

    @inline(__always)
    private func hasHost(_ head: borrowing RequestHead) -> Bool {
        guard let index = head.hostIndex, index < head.headers.count else { return false }
        return !head.headers.fields[index].isRemoved
    }

    /// `Client-Cert` (RFC 9440): never the client's own, which `Entrance` removes.
    @inline(never)
    private func appendClientCertificate(to out: inout ByteBuffer, _ certificate: Unmanaged<ClientCertificate>) {
        certificate._withUnsafeGuaranteedRef { certificate in
            guard !certificate.field.isEmpty else { return }
            out.append("Client-Cert: ")
            out.append(certificate.field)
            out.append("\r\n")
        }
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

    /// Whether a trusted peer has named another client than itself. Where it did so in one family of fields alone, the list of the
    /// other begins with this client: whoever reads the one must see whom a reader of the other sees.
    private func namesHop(_ context: borrowing RequestContext) -> Bool { context.clientAddress != context.peerAddress }

    /// The list of addresses: what a trusted peer said before, in all fields, and the peer. One field, since many read only the
    /// first.
    @inline(never)
    private func appendForwardedFor(
        to out: inout ByteBuffer, _ head: borrowing RequestHead, _ context: borrowing RequestContext
    ) -> Bool {
        var isGood = true
        var isFirst = true
        out.appendText("X-Forwarded-For: ")
        if !context.received.contains(.xForwardedFor) {
            out.appendText(of: context.clientAddress)
            isFirst = false
        }
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

    /// `X-Forwarded-Host` and `-Port` from the host that `Forwarded` told.
    @inline(never)
    private func appendToldHost(
        to out: inout ByteBuffer, _ head: borrowing RequestHead, _ context: borrowing RequestContext, _ kept: inout FieldSet
    ) {
        let host = context.told.host
        guard !host.isEmpty else { return }
        if !kept.contains(.xForwardedHost) {
            out.appendText("X-Forwarded-Host: ")
            out.append(head.bytes(host))
            out.appendLine("")
        }
        if !kept.contains(.xForwardedPort) {
            out.appendLine(
                "X-Forwarded-Port: ", decimal: UInt64(Self.port(head.bytes(host)) ?? context.clientScheme.defaultPort))
        }
        kept = kept | [.xForwardedHost, .xForwardedPort]
    }

    /// The digits behind the last colon, which is not one of an IPv6 address.
    private static func port(_ host: RawSpan) -> UInt16? {
        var value: UInt32 = 0
        var scale: UInt32 = 1
        var k = host.byteCount
        while k > 0, host.byteCount - k < 5, ASCII.isDigit(host[k - 1]) {
            k -= 1
            value += UInt32(host[k] - ASCII.zero) * scale
            scale *= 10
        }
        guard k > 0, k < host.byteCount, host[k - 1] == ASCII.colon, value > 0 else { return nil }
        return UInt16(exactly: value)
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
        if context.continuesForwarded {
            // A line that cannot be read might have an open quote, in which ours would vanish.
            let first = ClientAddress.firstReadableForwarded(head.headers)
            for i in first..<head.headers.count where head.headers.fields[i].id == .forwarded {
                if head.headers.fields[i].valueCount == 0 { continue }
                if !out.append(checkedValue: head.headers.value(i)) { isGood = false }
                out.appendText(", ")
            }
        } else if context.told.family == .x, namesHop(context) || context.told.scheme != nil {
            if namesHop(context) { appendNode(to: &out, context.clientAddress) } else { out.appendText("for=unknown") }
            if !context.told.host.isEmpty {
                out.appendText(";host=\"")
                if !out.append(checkedValue: head.bytes(context.told.host)) { isGood = false }
                out.appendText("\"")
            }
            if let scheme = context.told.scheme { out.appendText(scheme == .https ? ";proto=https" : ";proto=http") }
            out.appendText(", ")
        }
        if context.peerIsUnixSocket {
            out.appendText("for=unknown")
        } else {
            appendNode(to: &out, context.peerAddress)
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

    private func appendNode(to out: inout ByteBuffer, _ address: IPAddress) {
        if address.isV4 {
            out.appendText("for=")
            out.appendText(of: address)
        } else {
            out.appendText("for=\"[")
            out.appendText(of: address)
            out.appendText("]\"")
        }
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

import HTTPMessages
import Primitives

/// The response as it goes to the client: the twin of `Entrance` and `Forwarding` for the way back.
///
/// `receive` strips what the backend said to us alone, before the response phase of the chain; `appendFields` writes the
/// gateway's own lines behind the status line and the fields that are left. A response that the gateway makes itself needs the
/// second only. Fields keep their order, also several of one name: each `Set-Cookie` stays a field of its own (RFC 9110 §5.3).
public final class ResponseForwarding: Sendable {
    public struct Rule: Sendable {
        /// Our name in `Via`, a token.
        public var pseudonym: [UInt8]
        /// Whether `Via` is added; a gateway need not (RFC 9110 §7.6.3).
        public var addsVia: Bool
        /// The field that carries the request id, a token.
        public var requestIDHeader: [UInt8]

        public init(
            pseudonym: [UInt8], addsVia: Bool = true, requestIDHeader: [UInt8] = Array("X-Request-ID".utf8)
        ) {
            self.pseudonym = pseudonym
            self.addsVia = addsVia
            self.requestIDHeader = requestIDHeader
        }
    }

    /// `X-Request-ID: `, and the same behind `Via: 1.1 name` and a line end, by the version in which the response came.
    private let ownPassage: [UInt8]
    private let passage11: [UInt8]
    private let passage10: [UInt8]
    private let passage2: [UInt8]
    /// In lower case, where it is not `X-Request-ID`.
    private let requestIDName: [UInt8]?
    /// `Proxy-Authenticate` with them: it is a challenge to us, the client of that hop (RFC 9110 §11.7.1).
    private let removed: FieldSet = FieldSet.hopByHop | [.xRequestID]
    private let other = FieldSet(.other)

    /// - Throws: `.invalidName` when the pseudonym or the header's name is no token.
    public init(_ rule: Rule) throws(HeaderRuleError) {
        guard isToken(rule.pseudonym.span.bytes) else { throw .invalidName(rule.pseudonym) }
        guard isToken(rule.requestIDHeader.span.bytes) else { throw .invalidName(rule.requestIDHeader) }
        ownPassage = rule.requestIDHeader + Array(": ".utf8)
        let behindVersion = rule.pseudonym + Array("\r\n".utf8) + ownPassage
        passage11 = rule.addsVia ? Array("Via: 1.1 ".utf8) + behindVersion : ownPassage
        passage10 = rule.addsVia ? Array("Via: 1.0 ".utf8) + behindVersion : ownPassage
        passage2 = rule.addsVia ? Array("Via: 2 ".utf8) + behindVersion : ownPassage
        let name = rule.requestIDHeader.map(ASCII.lowercased)
        requestIDName = FieldID(lowercasing: name.span.bytes) == .xRequestID ? nil : name
    }

    /// Marks the fields that end at this hop. For final responses and for interim ones, of which nothing else is changed.
    ///
    /// - Throws: `.connectionOptionsTooMany`; the backend does not speak HTTP as we know it.
    public func receive(_ head: inout ResponseHead) throws(HeadFault) {
        for i in 0..<head.headers.count {
            let field = FieldSet(head.headers.fields[i].id)
            if field.intersects(removed) || field == other && isInternalName(head.headers.name(i)) {
                head.headers.remove(at: i)
            }
        }
        if let requestIDName { head.headers.removeAll(named: requestIDName.span.bytes) }
        if head.hasConnectionOptions { try ConnectionOptions.removeNamedFields(from: &head.headers) }
    }

    /// Appends the gateway's own field lines of a final response, each with its line end: `Date` if there is none, `Via`, the
    /// request id, the framing, `Connection`.
    ///
    /// - Parameter isForwarded: the response came from a backend, in `head.version`; the gateway's own has no `Via`.
    /// - Returns: false when there is no request id yet. Nothing else that is written here comes from outside; the id's bytes
    ///   were checked when it was taken over.
    public func appendFields(
        to out: inout ByteBuffer, head: borrowing ResponseHead, context: borrowing RequestContext, delivery: ResponseDelivery,
        isForwarded: Bool = true
    ) -> Bool {
        // A recipient with a clock adds the date that is missing (RFC 9110 §6.6.1).
        if head.headers.firstIndex(of: .date) == nil {
            out.appendText("Date: ")
            context.wallClock.appendIMFFixdate(into: &out)
            out.appendLine("")
        }
        let requestID = context.requestID
        let passage = isForwarded ? passage(head.version) : ownPassage
        // The room is for a length, 64 bytes of names, constants and line ends, and the parts whose length is known here.
        out.withFreeSpace(128 + passage.count + requestID.byteCount) { room in
            var lines = TextCursor(room)
            lines.write(passage.span.bytes)
            lines.write(requestID)
            lines.write("\r\n")
            if let length = delivery.contentLength {
                lines.write("Content-Length: ")
                lines.write(decimal: length)
                lines.write("\r\n")
            } else if delivery.body == .chunked {
                lines.write("Transfer-Encoding: chunked\r\n")
            }
            switch delivery.connection {
            case .unsaid: break
            case .close: lines.write("Connection: close\r\n")
            case .keepAlive: lines.write("Connection: keep-alive\r\n")
            }
            return lines.count
        }
        return context.hasRequestID
    }

    @inline(__always)
    private func passage(_ version: HTTPVersion) -> [UInt8] {
        switch version {
        case .http11: passage11
        case .http2: passage2
        case .http10: passage10
        }
    }
}

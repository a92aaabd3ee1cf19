import HTTPMessages
import Primitives

/// The request as it goes to a backend: what is left of the received fields, and the fields that the gateway writes itself.
///
/// One for each route, made with the configuration. For an attempt: `prepare`, then the serialiser writes the request line and
/// the fields that are left, then `appendFields`, then the end of the head. Both may be called again for another attempt: they
/// only mark fields and read, and all received bytes stay readable for the log.
public final class Forwarding: Sendable {
    /// What `Host` says to the backend.
    public enum Host: Sendable {
        /// What the client said.
        case fromClient
        /// The instance's own name.
        case ofInstance
        case literal([UInt8])
    }

    public struct Rule: Sendable {
        /// Our name in `Via`, a token.
        public var pseudonym: [UInt8]
        public var host: Host
        /// The field that carries the request id, a token.
        public var requestIDHeader: [UInt8]
        /// What the route takes off the front of the path; told in `X-Forwarded-Prefix`. Empty when nothing.
        public var strippedPrefix: [UInt8]
        /// Whether the backend gets `X-Timestamp`.
        public var addsTimestamp: Bool
        /// Whether trailers of the response can be passed on, so that `TE: trailers` may be said for the client.
        public var takesTrailers: Bool

        public init(
            pseudonym: [UInt8], host: Host = .fromClient, requestIDHeader: [UInt8] = Array("X-Request-ID".utf8),
            strippedPrefix: [UInt8] = [], addsTimestamp: Bool = false, takesTrailers: Bool = true
        ) {
            self.pseudonym = pseudonym
            self.host = host
            self.requestIDHeader = requestIDHeader
            self.strippedPrefix = strippedPrefix
            self.addsTimestamp = addsTimestamp
            self.takesTrailers = takesTrailers
        }
    }

    /// What `prepare` found.
    public enum Decision: Equatable, Sendable {
        case forward
        /// `Max-Forwards: 0`: the gateway is the final recipient of this OPTIONS or TRACE (RFC 9110 §7.6.2).
        case answerHere
        case refuse(HeadFault)
    }

    let rule: Rule
    /// `Via: 1.1 name`, a line end and `X-Request-ID: `, by the version in which the request came.
    let passage11: [UInt8]
    let passage10: [UInt8]
    let passage2: [UInt8]
    private let removesHost: Bool

    /// - Throws: `.invalidName` when the pseudonym or a name is no token, `.invalidValue` for a literal with control bytes.
    public init(_ rule: Rule) throws(HeaderRuleError) {
        guard isToken(rule.pseudonym.span.bytes) else { throw .invalidName(rule.pseudonym) }
        guard isToken(rule.requestIDHeader.span.bytes) else { throw .invalidName(rule.requestIDHeader) }
        guard rule.strippedPrefix.span.bytes.isFieldValue else {
            throw .invalidValue(name: Array("X-Forwarded-Prefix".utf8))
        }
        switch rule.host {
        case .fromClient: removesHost = false
        case .ofInstance: removesHost = true
        case .literal(let host):
            guard !host.isEmpty, host.span.bytes.isFieldValue else {
                throw .invalidValue(name: Array("Host".utf8))
            }
            removesHost = true
        }
        self.rule = rule
        let behindVersion = rule.pseudonym + Array("\r\n".utf8) + rule.requestIDHeader + Array(": ".utf8)
        passage11 = Array("Via: 1.1 ".utf8) + behindVersion
        passage10 = Array("Via: 1.0 ".utf8) + behindVersion
        passage2 = Array("Via: 2 ".utf8) + behindVersion
    }

    /// Marks what the gateway writes anew, and looks at `Max-Forwards`.
    public func prepare(_ head: inout RequestHead, _ context: inout RequestContext) -> Decision {
        if isAbsolute(head) { replaceHost(of: &head, context) }
        if removesHost { head.headers.removeAll(.host) }
        if rule.addsTimestamp { head.headers.removeAll(.xTimestamp) }
        if context.hasStrippedPrefix { head.headers.removeAll(.xForwardedPrefix) }
        if context.received.contains(.maxForwards) { return prepareMaxForwards(&head, &context) }
        return .forward
    }

    /// Whether `appendFields` may need the instance's own name: the received `Host` does not go on.
    @inline(__always)
    public func namesInstance(_ head: borrowing RequestHead) -> Bool { removesHost || head.hostIndex == nil }

    @inline(__always)
    private func isAbsolute(_ head: borrowing RequestHead) -> Bool {
        guard !head.targetRange.isEmpty else { return false }
        let first = head.headers.storage[head.targetRange.lowerBound]
        return first != ASCII.slash && first != ASCII.asterisk && !head.host.isEmpty
    }

    /// The authority of a target in absolute-form takes the place of the received `Host` (RFC 9112 §3.2.2).
    @inline(never)
    private func replaceHost(of head: inout RequestHead, _ context: borrowing RequestContext) {
        if let index = head.hostIndex, index >= context.receivedCount { return }
        let host = head.host
        let port = head.port
        let name: StaticString = "Host"
        let nameOffset = head.headers.storage.count
        head.headers.storage.append(name)
        head.headers.storage.appendCopy(of: host)
        if port != 0 {
            head.headers.storage.append(ASCII.colon)
            head.headers.storage.append(decimal: UInt64(port))
        }
        let valueOffset = nameOffset + name.utf8CodeUnitCount
        let valueCount = head.headers.storage.count - valueOffset
        guard valueCount <= Int(UInt16.max) else { return }
        head.headers.removeAll(.host)
        head.hostIndex = head.headers.count
        head.headers.append(
            Field(
                nameOffset: nameOffset, nameCount: name.utf8CodeUnitCount, valueOffset: valueOffset,
                valueCount: valueCount, id: .host))
    }

    /// Counts down for OPTIONS and TRACE; with any other method the field means nothing to us and passes.
    private func prepareMaxForwards(_ head: inout RequestHead, _ context: inout RequestContext) -> Decision {
        guard head.method == .options || head.method == .trace else { return .forward }
        for i in 0..<head.headers.count where head.headers.fields[i].id == .maxForwards {
            guard let hops = decimal(head.headers.value(i)) else { return .refuse(.maxForwardsInvalid) }
            if hops == 0 { return .answerHere }
            context.maxForwards = hops - 1
        }
        head.headers.removeAll(.maxForwards)
        return .forward
    }

    /// `1*DIGIT`; what is more than nine digits long is as good as the largest of nine.
    private func decimal(_ text: RawSpan) -> Int? {
        guard text.byteCount > 0 else { return nil }
        var value = 0
        for k in 0..<text.byteCount {
            guard ASCII.isDigit(text[k]) else { return nil }
            value = min(value * 10 + Int(text[k] - ASCII.zero), 999_999_999)
        }
        return value
    }
}

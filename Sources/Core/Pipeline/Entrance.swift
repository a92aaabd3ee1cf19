import HTTPMessages
import Primitives

/// What every request passes before its route is looked up: who the client is, the request id, and the removal of all fields
/// that a client may not send or that end at this hop.
///
/// It comes before routing and before the chain, so that neither a header match nor a middleware ever sees a forged
/// `X-User-ID`, and so that a client cannot remove through `Connection` what a middleware adds. One loop over the fields; each
/// is tested against a set in a word. Removed fields keep their bytes, for the log.
public final class Entrance: Sendable {
    public struct Rule: Sendable {
        /// The peers that may speak for a client: `trusted_proxies`.
        public var trustedProxies: [AddressBlock]
        /// Whether all that connect over a Unix socket are trusted; the permissions of the socket are the guard.
        public var trustsUnixSockets: Bool
        public var style: ForwardedStyle
        public var underscores: UnderscorePolicy
        /// Our name in `Via`, a token; seen in a request, it is a loop.
        public var pseudonym: [UInt8]
        /// The field that carries the request id, as written.
        public var requestIDHeader: [UInt8]
        public var requestIDTrust: RequestIDTrust

        public init(
            trustedProxies: [AddressBlock], trustsUnixSockets: Bool = true, style: ForwardedStyle = .x,
            underscores: UnderscorePolicy = .drop, pseudonym: [UInt8],
            requestIDHeader: [UInt8] = Array("X-Request-ID".utf8), requestIDTrust: RequestIDTrust = .trustedPeers
        ) {
            self.trustedProxies = trustedProxies
            self.trustsUnixSockets = trustsUnixSockets
            self.style = style
            self.underscores = underscores
            self.pseudonym = pseudonym
            self.requestIDHeader = requestIDHeader
            self.requestIDTrust = requestIDTrust
        }
    }

    /// Whose request id is taken over, if its form is right; everybody else gets a new one.
    public enum RequestIDTrust: UInt8, Sendable {
        case trustedPeers, always, never
    }

    /// What becomes of names with an underscore that are no twins of names we use; those are always refused.
    public enum UnderscorePolicy: UInt8, Sendable {
        case forward, drop, reject
    }

    private let rule: Rule
    private let removedFromTrusted: FieldSet
    private let removedFromOthers: FieldSet
    private let other = FieldSet(.other)
    private let toldOf = FieldSet.xClient | [.forwarded]
    private let single = FieldSet.single
    /// The name of the request id's field in lower case where it is not `X-Request-ID`.
    private let requestIDName: [UInt8]?

    public init(_ rule: Rule) {
        self.rule = rule
        // The list fields are written anew from the received values, so they go too. Other fields of a trusted peer stay.
        var always: FieldSet = FieldSet.hopByHop | FieldSet.identity | FieldSet.methodOverride
        always = always | [.xRequestID, .xRequestTimeout, .xSluiceRetry, .xForwardedFor, .forwarded]
        removedFromTrusted = rule.style.writesX ? always : always | FieldSet.xForwarded
        removedFromOthers = always | FieldSet.trustedOnly
        let name = rule.requestIDHeader.map(ASCII.lowercased)
        requestIDName = FieldID(lowercasing: name.span.bytes) == .xRequestID ? nil : name
    }

    /// Marks fields as removed, and fills in the client, the trust and the request id.
    ///
    /// - Throws: what makes the request unacceptable. Client and request id are set all the same, for the error's log line.
    public func receive(_ head: inout RequestHead, _ context: inout RequestContext) throws(HeadFault) {
        let isTrusted =
            context.peerIsUnixSocket
            ? rule.trustsUnixSockets : ClientAddress.isTrusted(context.peerAddress, rule.trustedProxies)
        let removed = isTrusted ? removedFromTrusted : removedFromOthers
        let count = head.headers.count
        var seen = FieldSet()
        var repeated = FieldSet()
        var fault: HeadFault?
        for i in 0..<count {
            let field = FieldSet(head.headers.fields[i].id)
            repeated = repeated | seen & field
            seen = seen | field
            if field.intersects(removed) {
                head.headers.remove(at: i)
            } else if field == other {
                if let found = receiveUnknown(&head.headers, i) { fault = found }
            }
        }
        context.isTrustedPeer = isTrusted
        context.received = seen
        context.receivedCount = count
        context.forwardedStyle = rule.style
        context.clientAddress = context.peerAddress
        context.clientPort = context.peerPort
        if isTrusted, seen.intersects(toldOf) { believe(head.headers, &context) }
        takeOrMakeRequestID(&head.headers, &context)

        if let fault { throw fault }
        if repeated.intersects(single) { throw .repeatedField }
        if head.hasConnectionOptions { try ConnectionOptions.removeNamedFields(from: &head.headers) }
        if seen.contains(.via) {
            let pseudonym = rule.pseudonym
            try Via.check(head.headers, pseudonym: pseudonym.span.bytes)
        }
    }

    /// Takes what a trusted proxy says of the client.
    @inline(never)
    private func believe(_ headers: borrowing HeaderBlock, _ context: inout RequestContext) {
        let told = ClientAddress.told(headers, received: context.received, trusted: rule.trustedProxies, style: rule.style)
        context.told = told
        if let address = told.address {
            context.clientAddress = address
            context.clientPort = 0
        }
        if let scheme = told.scheme { context.clientScheme = scheme }
        switch told.family {
        case .forwarded: context.continuesForwarded = true
        case .x where rule.style.writesForwarded && context.received.contains(.forwarded):
            // Both families were sent, and this one goes on only as far as it says the same.
            let other = ClientAddress.toldByForwarded(headers, rule.trustedProxies)
            context.continuesForwarded = other.address == told.address && other.scheme ?? context.scheme == context.clientScheme
        case .x, .none: break
        }
    }

    /// Takes the received request id over if it is the only one, or makes one.
    @inline(__always)
    private func takeOrMakeRequestID(_ headers: inout HeaderBlock, _ context: inout RequestContext) {
        if context.received.contains(.xRequestID) || requestIDName != nil {
            let given = removeRequestID(&headers)
            let isBelieved =
                switch rule.requestIDTrust {
                case .trustedPeers: context.isTrustedPeer
                case .always: true
                case .never: false
                }
            if isBelieved, let given, context.takeRequestID(headers.value(given)) { return }
        }
        context.makeRequestID()
    }

    /// Removes the fields of the request id, and gives the index where there is exactly one.
    @inline(never)
    private func removeRequestID(_ headers: inout HeaderBlock) -> Int? {
        var found: Int?
        var fields = 0
        for i in 0..<headers.count {
            let isRequestID =
                if let requestIDName {
                    headers.nameEquals(i, requestIDName.span.bytes)
                } else {
                    headers.fields[i].id == .xRequestID
                }
            guard isRequestID else { continue }
            headers.remove(at: i)
            found = i
            fields += 1
        }
        return fields == 1 ? found : nil
    }

    /// A field without an id of its own: removed when its name is internal, and judged when it has an underscore.
    @inline(__always)
    private func receiveUnknown(_ headers: inout HeaderBlock, _ index: Int) -> HeadFault? {
        switch NameKind(of: index, in: headers) {
        case .plain: return nil
        case .underscored: return receiveUnderscore(&headers, index)
        case .ownedByUs:
            headers.remove(at: index)
            return nil
        }
    }

    private enum NameKind {
        case plain, underscored, ownedByUs

        @inline(__always)
        init(of index: Int, in headers: borrowing HeaderBlock) {
            let start = Int(headers.fields[index].nameOffset)
            let name = headers.storage.bytes.extracting(start..<(start + Int(headers.fields[index].nameCount)))
            if name.hasUnderscore {
                self = .underscored
            } else {
                self = mayBeInternalName(name) && isInternalName(name) ? .ownedByUs : .plain
            }
        }
    }

    @inline(never)
    private func receiveUnderscore(_ headers: inout HeaderBlock, _ index: Int) -> HeadFault? {
        if FieldID(readingUnderscoresAsDashes: headers.name(index)).isDecisive { return .underscoreTwin }
        switch rule.underscores {
        case .forward: return nil
        case .drop:
            headers.remove(at: index)
            return nil
        case .reject: return .underscoreName
        }
    }
}

import HTTPMessages
import Primitives

/// What a trusted proxy says of the client, from one family of fields: an address of the one and a scheme of the other would be those
/// of nobody.
struct ToldClient {
    enum Family: UInt8, Sendable {
        case none
        /// `X-Forwarded-*`.
        case x
        /// `Forwarded` (RFC 7239).
        case forwarded
    }

    var family = Family.none
    /// Nil where nobody is named, or nobody who can be believed.
    var address: IPAddress?
    var scheme: Scheme?
    /// Where the host that the client asked for stands in the head, with its port; empty where it is not told.
    var host: Range<Int> = 0..<0
}

/// One hop of a list, as it is told.
struct ToldHop {
    var address: IPAddress?
    var scheme: Scheme?
    /// In the storage of the head.
    var host: Range<Int> = 0..<0
}

extension ClientAddress {
    /// What the fields say.
    ///
    /// A family that is there at all is asked, and the other one only where it is not: a client cannot have our proxy's fields passed
    /// over by spoiling them. Where both are there it is the one that the gateway writes, `X-Forwarded-*` if it writes both.
    static func told(
        _ headers: borrowing HeaderBlock, received: FieldSet, trusted: [AddressBlock], style: ForwardedStyle
    ) -> ToldClient {
        let hasForwarded = received.contains(.forwarded)
        if received.intersects(.xClient), style.writesX || !hasForwarded { return toldByX(headers, trusted) }
        return hasForwarded ? toldByForwarded(headers, trusted) : ToldClient()
    }

    private static func toldByX(_ headers: borrowing HeaderBlock, _ trusted: [AddressBlock]) -> ToldClient {
        var told = ToldClient(family: .x)
        var hops = HopList()
        var hasScheme = false
        for i in 0..<headers.count {
            switch headers.fields[i].id {
            case .xForwardedFor: readXForwardedFor(headers.value(i), into: &hops)
            case .xForwardedProto where !hasScheme:
                hasScheme = true
                told.scheme = scheme(headers.value(i))
            case .xForwardedHost where told.host.isEmpty:
                if isHost(headers.value(i)) { told.host = place(of: i, in: headers) }
            default: break
            }
        }
        told.address = hops.rightmostUntrusted(trusted)?.address
        return told
    }

    /// Reads all lines, removed ones too: they are one list (RFC 9110 §5.3). A line that cannot be read is a hop of which nothing is
    /// known; behind it, the lines of our own proxies count.
    static func toldByForwarded(_ headers: borrowing HeaderBlock, _ trusted: [AddressBlock]) -> ToldClient {
        var told = ToldClient(family: .forwarded)
        var hops = HopList()
        for i in 0..<headers.count where headers.fields[i].id == .forwarded {
            let offset = Int(headers.fields[i].valueOffset)
            if !readForwarded(headers.value(i), at: offset, into: &hops) { hops.append(ToldHop()) }
        }
        if let hop = hops.rightmostUntrusted(trusted) {
            told.address = hop.address
            // The proxy that has named this hop, or has hidden it, has seen how it came.
            told.scheme = hop.scheme
            told.host = hop.host
        }
        return told
    }

    /// The first line of `Forwarded` from which on all can be read; `headers.count` where not even the last can.
    static func firstReadableForwarded(_ headers: borrowing HeaderBlock) -> Int {
        var first = headers.count
        var i = headers.count
        while i > 0 {
            i -= 1
            guard headers.fields[i].id == .forwarded else { continue }
            var hops = HopList()
            guard readForwarded(headers.value(i), at: 0, into: &hops) else { break }
            first = i
        }
        return first
    }

    static func scheme(_ text: RawSpan) -> Scheme? {
        if text.equals(ignoringCase: "https") { return .https }
        return text.equals(ignoringCase: "http") ? .http : nil
    }

    /// Whether the bytes can be a host with a port: they go into a field between quotes.
    static func isHost(_ text: RawSpan) -> Bool {
        guard text.byteCount > 0, text.byteCount <= 256 else { return false }
        for k in 0..<text.byteCount where !isNodeByte(text[k]) { return false }
        return true
    }

    private static func place(of index: Int, in headers: borrowing HeaderBlock) -> Range<Int> {
        let start = Int(headers.fields[index].valueOffset)
        return start..<(start + Int(headers.fields[index].valueCount))
    }
}

/// The last hops of a list, as they are read from left to right. A hop that is no address is kept as such.
struct HopList {
    private var hops = InlineArray<20, ToldHop>(repeating: ToldHop())
    private(set) var count = 0

    mutating func append(_ hop: ToldHop) {
        hops[count % ClientAddress.hopsMax] = hop
        count += 1
    }

    /// The right-most hop that is no trusted proxy, perhaps without an address; where all are trusted, the left-most. Nil where it
    /// is too far away.
    func rightmostUntrusted(_ trusted: [AddressBlock]) -> ToldHop? {
        var last: ToldHop?
        var index = count - 1
        while index >= 0 {
            guard index + ClientAddress.hopsMax >= count else { return nil }
            let hop = hops[index % ClientAddress.hopsMax]
            guard let address = hop.address, ClientAddress.isTrusted(address, trusted) else { return hop }
            last = hop
            index -= 1
        }
        return last
    }
}

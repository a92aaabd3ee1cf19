import Primitives

/// Who is let in by address. What `deny` holds is kept out, whatever `allow` says; where `allow` holds anything, nobody else comes
/// in.
///
/// The address is the client's as trusted proxies tell it (`RequestContext.clientAddress`). A client of a Unix socket whom no
/// proxy has named has none: no deny list can hold it, and no allow list does. The kernel's check of the socket's permissions
/// stands in front of it.
public final class IPAccessRules: Sendable {
    private let allowed: [Range]
    private let denied: [Range]

    public init(allow: [AddressBlock] = [], deny: [AddressBlock] = []) {
        allowed = IPAccessRules.merged(allow)
        denied = IPAccessRules.merged(deny)
    }

    func admits(_ context: borrowing RequestContext) -> Bool {
        guard !context.peerIsUnixSocket || context.hasClientAddress else { return allowed.isEmpty }
        let address = context.clientAddress
        if IPAccessRules.holds(denied, address) { return false }
        return allowed.isEmpty || IPAccessRules.holds(allowed, address)
    }

    /// All addresses from `first` to `last`.
    private struct Range {
        let first: IPAddress
        var last: IPAddress
    }

    /// The blocks in order, those inside others left out: two blocks are apart, or one holds the other.
    private static func merged(_ blocks: [AddressBlock]) -> [Range] {
        var ranges = [Range]()
        // Of two that begin alike, the larger comes first.
        let sorted = blocks.sorted {
            isBefore($0.network, $1.network) || $0.network == $1.network && isBefore($1.last, $0.last)
        }
        for block in sorted {
            if let before = ranges.last, !isBefore(before.last, block.last) { continue }
            ranges.append(Range(first: block.network, last: block.last))
        }
        return ranges
    }

    /// Halves the list until one range is left that may hold the address: lists of ten thousand blocks are in use.
    private static func holds(_ ranges: [Range], _ address: IPAddress) -> Bool {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if isBefore(ranges[middle].last, address) { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && !isBefore(address, ranges[low].first)
    }

    private static func isBefore(_ a: IPAddress, _ b: IPAddress) -> Bool {
        a.high != b.high ? a.high < b.high : a.low < b.low
    }
}

extension Answer {
    /// The client's address is not let in.
    static var ipDenied: Answer {
        .error(status: 403, code: "AUTH_ERROR", message: "This address is not allowed here.", reason: "ip_denied")
    }
}

/// What is spoken inside TLS, as ALPN names it (RFC 7301).
public enum TLSProtocol: UInt8, Sendable, CaseIterable {
    case http11
    case h2
    /// Nothing was agreed: the peer did not ask, or speaks HTTP/1.1 and no ALPN.
    case none

    /// As it stands in the handshake; nil for `none`.
    var name: StaticString? {
        switch self {
        case .http11: "http/1.1"
        case .h2: "h2"
        case .none: nil
        }
    }

    init(_ bytes: UnsafeRawBufferPointer) {
        self = Self.allCases.first { $0.isNamed(bytes) } ?? .none
    }

    func isNamed(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let name, name.utf8CodeUnitCount == bytes.count else { return false }
        return bytes.elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }

    /// A list as it stands in the handshake: each name behind its length.
    static func list(_ protocols: [TLSProtocol]) -> [UInt8] {
        protocols.flatMap { each -> [UInt8] in
            guard let name = each.name else { return [] }
            let bytes = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
            return [UInt8(bytes.count)] + bytes
        }
    }

    /// Where in a peer's list the first of `wanted` stands that it has, in our order. nil: it has none of them, or the list is
    /// malformed (RFC 7301 §3.1), which counts as offering nothing that is known.
    static func choose(_ wanted: [TLSProtocol], from list: UnsafeRawBufferPointer) -> Range<Int>? {
        var offset = 0
        var found: (rank: Int, range: Range<Int>)?
        while offset < list.count {
            let length = Int(list[offset])
            let range = offset + 1..<offset + 1 + length
            guard length > 0, range.upperBound <= list.count else { return nil }
            let name = UnsafeRawBufferPointer(rebasing: list[range])
            if let rank = wanted.firstIndex(where: { $0.isNamed(name) }), rank < found?.rank ?? .max {
                found = (rank, range)
            }
            offset = range.upperBound
        }
        return found?.range
    }
}

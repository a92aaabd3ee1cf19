import HTTPMessages
import Primitives

/// The chain of proxies that a message has passed (RFC 9110 §7.6.3).
///
///     Via               = #( received-protocol RWS received-by [ RWS comment ] )
///     received-protocol = [ protocol-name "/" ] protocol-version
///     received-by       = pseudonym [ ":" port ]
enum Via {
    /// A chain longer than this is a loop over somebody who does not write a pseudonym that we know.
    static let entriesMax = 10

    /// Throws when our pseudonym is a `received-by` in any `Via`, or when there are too many entries.
    static func check(_ headers: borrowing HeaderBlock, pseudonym: RawSpan) throws(HeadFault) {
        var entries = 0
        for i in 0..<headers.count where headers.fields[i].id == .via {
            try check(headers.value(i), pseudonym: pseudonym, entries: &entries)
        }
    }

    private static func check(_ value: RawSpan, pseudonym: RawSpan, entries: inout Int) throws(HeadFault) {
        let n = value.byteCount
        var k = 0
        while k < n {
            // One entry: words up to a comma that stands in no comment.
            var words = 0
            while k < n, value[k] != ASCII.comma {
                if value[k] == ASCII.space || value[k] == ASCII.tab {
                    k += 1
                } else if value[k] == UInt8(ascii: "(") {
                    skipComment(value, &k)
                } else {
                    let start = k
                    while k < n, value[k] != ASCII.comma, value[k] != ASCII.space, value[k] != ASCII.tab { k += 1 }
                    words += 1
                    if words == 2, isPseudonym(value.extracting(start..<k), pseudonym) { throw .loop }
                }
            }
            k += 1
            if words > 0 { entries += 1 }
            guard entries <= entriesMax else { throw .hopsTooMany }
        }
    }

    /// The pseudonym, with or without a port.
    private static func isPseudonym(_ receivedBy: RawSpan, _ pseudonym: RawSpan) -> Bool {
        if receivedBy.equals(ignoringCase: pseudonym) { return true }
        let n = pseudonym.byteCount
        return receivedBy.byteCount > n && receivedBy[n] == ASCII.colon
            && receivedBy.extracting(0..<n).equals(ignoringCase: pseudonym)
    }

    /// Comments nest and escape (RFC 9110 §5.6.5); one that never ends ends the value.
    private static func skipComment(_ value: RawSpan, _ k: inout Int) {
        var depth = 0
        while k < value.byteCount {
            let c = value[k]
            if c == ASCII.backslash {
                k += 1
            } else if c == UInt8(ascii: "(") {
                depth += 1
            } else if c == UInt8(ascii: ")") {
                depth -= 1
            }
            k += 1
            if depth == 0 { return }
        }
        k = min(k, value.byteCount)
    }
}

import Primitives

/// Reading of `Forwarded` (RFC 7239 §4).
///
///     Forwarded         = 1#forwarded-element
///     forwarded-element = [ forwarded-pair ] *( ";" [ forwarded-pair ] )
///     forwarded-pair    = token "=" ( token / quoted-string )
extension ClientAddress {
    /// Appends what each element says of its client: `for`, nil without one, for `unknown` and for obfuscated names (§6.2, §6.3);
    /// `proto` and `host`, where they are something that we know.
    ///
    /// False when the value does not follow the grammar, so that elements cannot be told apart.
    /// - Parameter offset: where the value stands in the head.
    static func readForwarded(_ value: RawSpan, at offset: Int, into hops: inout HopList) -> Bool {
        let n = value.byteCount
        var k = 0
        while true {
            var hop = ToldHop()
            var hasNode = false
            var hasScheme = false
            var hasHost = false
            while true {
                skipSpace(value, &k)
                if k < n, value[k] != ASCII.semicolon, value[k] != ASCII.comma {
                    let length = value.tokenCount(from: k)
                    guard length > 0, k + length < n, value[k + length] == ASCII.equals else { return false }
                    let name = value.extracting(k..<(k + length))
                    k += length + 1
                    guard let text = readValue(value, &k) else { return false }
                    let said = value.extracting(text)
                    if name.equals(ignoringCase: "for") {
                        guard !hasNode else { return false }
                        hasNode = true
                        hop.address = address(said)
                    } else if name.equals(ignoringCase: "proto") {
                        guard !hasScheme else { return false }
                        hasScheme = true
                        hop.scheme = scheme(said)
                    } else if name.equals(ignoringCase: "host") {
                        guard !hasHost else { return false }
                        hasHost = true
                        if isHost(said) { hop.host = (offset + text.lowerBound)..<(offset + text.upperBound) }
                    }
                }
                skipSpace(value, &k)
                guard k < n, value[k] == ASCII.semicolon else { break }
                k += 1
            }
            hops.append(hop)
            if k == n { return true }
            guard value[k] == ASCII.comma else { return false }
            k += 1
        }
    }

    private static func skipSpace(_ value: RawSpan, _ k: inout Int) {
        while k < value.byteCount, value[k] == ASCII.space || value[k] == ASCII.tab { k += 1 }
    }

    /// Where a token, or the inside of a quoted string, stands. Escapes are refused: no address needs one.
    ///
    /// A bare value may hold `:`, `[` and `]`: no token, but what many proxies write for `for`.
    private static func readValue(_ value: RawSpan, _ k: inout Int) -> Range<Int>? {
        let n = value.byteCount
        guard k < n else { return nil }
        if value[k] == ASCII.quote {
            let start = k + 1
            k = start
            while k < n, value[k] != ASCII.quote {
                guard value[k] != ASCII.backslash else { return nil }
                k += 1
            }
            guard k < n else { return nil }
            k += 1
            return start..<(k - 1)
        }
        let start = k
        while k < n, isNodeByte(value[k]) { k += 1 }
        return k > start ? start..<k : nil
    }

    static func isNodeByte(_ c: UInt8) -> Bool {
        ASCII.isToken(c) || c == ASCII.colon || c == UInt8(ascii: "[") || c == UInt8(ascii: "]")
    }
}

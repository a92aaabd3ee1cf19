import Primitives

extension RawSpan {
    /// Whether the bytes begin with those of `lowercase`, but for the case of ASCII letters.
    func hasPrefix(ignoringCase lowercase: StaticString) -> Bool {
        byteCount >= lowercase.utf8CodeUnitCount
            && extracting(0..<lowercase.utf8CodeUnitCount).equals(ignoringCase: lowercase)
    }

    /// Whether there is an underscore; eight bytes a step, since every name that we do not know is asked.
    @inline(__always)
    var hasUnderscore: Bool {
        let n = byteCount
        var k = 0
        while k &+ 8 <= n {
            if RawSpan.hasUnderscore(unsafeLoadUnaligned(fromByteOffset: k, as: UInt64.self)) { return true }
            k &+= 8
        }
        if k == n { return false }
        if n >= 8 { return RawSpan.hasUnderscore(unsafeLoadUnaligned(fromByteOffset: n &- 8, as: UInt64.self)) }
        while k < n {
            if self[k] == ASCII.underscore { return true }
            k &+= 1
        }
        return false
    }

    /// The well-known test for a zero byte, on the word with all underscores made zero. It errs only beyond the first match.
    @inline(__always)
    private static func hasUnderscore(_ word: UInt64) -> Bool {
        let zeroed = word ^ 0x5f5f_5f5f_5f5f_5f5f
        return (zeroed &- 0x0101_0101_0101_0101) & ~zeroed & 0x8080_8080_8080_8080 != 0
    }
}

/// The quick half of the question: such names are at least as long as `x-gateway-` and begin with `x-` or `c`.
@inline(__always)
func mayBeInternalName(_ name: RawSpan) -> Bool {
    guard name.byteCount >= 10 else { return false }
    let first = name[0] | 0x20
    return first == 0x78 && name[1] == ASCII.dash || first == 0x63
}

/// Whether a name without an id of its own is one that stays between gateway and backend: it is neither taken from a client
/// nor, in an answer, shown to one.
func isInternalName(_ name: RawSpan) -> Bool {
    guard mayBeInternalName(name) else { return false }
    let first = name[0] | 0x20
    if first == 0x78 {
        return name.hasPrefix(ignoringCase: "x-gateway-") || name.hasPrefix(ignoringCase: "x-client-cert")
            || name.hasPrefix(ignoringCase: "x-consumer-")
    }
    return first == 0x63 && name.equals(ignoringCase: "client-cert-chain")
}

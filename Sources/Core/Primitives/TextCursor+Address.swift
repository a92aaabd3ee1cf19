extension TextCursor {
    /// An address as `IPAddress.append(to:)` writes it: dotted decimal, or RFC 5952; up to 39 bytes.
    public mutating func write(address: IPAddress) {
        if address.isV4 {
            writeOctet(address.low >> 24)
            write(ASCII.dot)
            writeOctet(address.low >> 16)
            write(ASCII.dot)
            writeOctet(address.low >> 8)
            write(ASCII.dot)
            writeOctet(address.low)
        } else {
            writeV6(address)
        }
    }

    @inline(__always)
    private mutating func writeOctet(_ bits: UInt64) {
        let octet = UInt32(truncatingIfNeeded: bits & 0xff)
        if octet < 10 { return write(UInt8(truncatingIfNeeded: 48 &+ octet)) }
        if octet < 100 { return write(twoDigits: octet) }
        write(threeDigits: octet)
    }

    private mutating func writeV6(_ address: IPAddress) {
        // The longest run of two or more zero groups, the first of equals, becomes `::` (RFC 5952 §4.2).
        var gap = 8..<8
        var i = 0
        while i < 8 {
            var end = i
            while end < 8, group(address, end) == 0 { end += 1 }
            if end - i > max(1, gap.count) { gap = i..<end }
            i = max(end, i + 1)
        }
        i = 0
        while i < 8 {
            if i == gap.lowerBound {
                write(ASCII.colon)
                write(ASCII.colon)
                i = gap.upperBound
                continue
            }
            if i > 0, i != gap.upperBound { write(ASCII.colon) }
            writeGroup(group(address, i))
            i += 1
        }
    }

    private func group(_ address: IPAddress, _ i: Int) -> UInt64 {
        let half = i < 4 ? address.high : address.low
        return half >> UInt64(48 - 16 * (i % 4)) & 0xffff
    }

    /// In lower-case hexadecimal without leading zeros.
    private mutating func writeGroup(_ group: UInt64) {
        var shift = group >= 0x1000 ? 12 : group >= 0x100 ? 8 : group >= 0x10 ? 4 : 0
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: group >> UInt64(shift) & 15)
            write(digit < 10 ? 48 + digit : 87 + digit)
            shift -= 4
        }
    }
}

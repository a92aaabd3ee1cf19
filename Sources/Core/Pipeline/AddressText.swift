import Primitives

extension IPAddress {
    /// Appends the text form; an IPv4 address, of which there are two in every request, without divisions.
    func appendText(to out: inout ByteBuffer) {
        guard isV4 else { return append(to: &out) }
        let word = UInt32(truncatingIfNeeded: low)
        out.withFreeSpace(16) { room in
            var k = 0
            var shift: UInt32 = 24
            while true {
                var octet = word >> shift & 255
                if octet >= 100 {
                    let hundreds = octet >= 200 ? UInt32(2) : 1
                    room[k] = UInt8(truncatingIfNeeded: 48 + hundreds)
                    octet -= hundreds * 100
                    // 205 / 2048 is a tenth, exact for all below 1029.
                    room[k + 1] = UInt8(truncatingIfNeeded: 48 + (octet * 205) >> 11)
                    room[k + 2] = UInt8(truncatingIfNeeded: 48 + octet - (octet * 205) >> 11 * 10)
                    k += 3
                } else if octet >= 10 {
                    room[k] = UInt8(truncatingIfNeeded: 48 + (octet * 205) >> 11)
                    room[k + 1] = UInt8(truncatingIfNeeded: 48 + octet - (octet * 205) >> 11 * 10)
                    k += 2
                } else {
                    room[k] = UInt8(truncatingIfNeeded: 48 + octet)
                    k += 1
                }
                if shift == 0 { return k }
                room[k] = ASCII.dot
                k += 1
                shift -= 8
            }
        }
    }
}

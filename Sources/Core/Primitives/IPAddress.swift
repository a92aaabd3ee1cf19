/// An IPv4 or IPv6 address; an IPv4 address is kept in its IPv4-mapped form (RFC 4291 §2.5.5.2), so both compare as one kind.
public struct IPAddress: Hashable, Sendable {
    /// The upper and lower 64 bits, in host order.
    public var high: UInt64
    public var low: UInt64

    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// From the 32 bits of an IPv4 address in host order.
    @inlinable
    public init(v4: UInt32) { self.init(high: 0, low: 0x0000_ffff_0000_0000 | UInt64(v4)) }

    @inlinable
    public var isV4: Bool { high == 0 && low >> 32 == 0xffff }

    /// What connections are counted by: the whole IPv4 address, or the /64 that one IPv6 customer holds.
    @inlinable
    public var countingKey: IPAddress { isV4 ? self : IPAddress(high: high, low: 0) }

    /// Reads dotted decimal, or IPv6 text (RFC 4291 §2.2; no zone, no brackets). Nil for anything else, leading zeros included.
    public init?(_ text: RawSpan) {
        if text.firstIndex(of: ASCII.colon) == nil {
            guard let v4 = IPAddress.readV4(text) else { return nil }
            self.init(v4: v4)
        } else {
            guard let v6 = IPAddress.readV6(text) else { return nil }
            self = v6
        }
    }

    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let address = IPAddress(bytes.span.bytes) else { return nil }
        self = address
    }

    private static func readV4(_ text: RawSpan) -> UInt32? {
        var result: UInt32 = 0
        var part: UInt32 = 0
        var digits = 0
        var dots = 0
        for i in 0..<text.byteCount {
            let c = text[i]
            if ASCII.isDigit(c) {
                guard digits < 3, !(digits > 0 && part == 0) else { return nil }
                part = part * 10 + UInt32(c - 48)
                digits += 1
                guard part <= 255 else { return nil }
            } else if c == ASCII.dot {
                guard digits > 0, dots < 3 else { return nil }
                result = result << 8 | part
                part = 0
                digits = 0
                dots += 1
            } else {
                return nil
            }
        }
        guard dots == 3, digits > 0 else { return nil }
        return result << 8 | part
    }

    private static func readV6(_ text: RawSpan) -> IPAddress? {
        var groups = InlineArray<8, UInt16>(repeating: 0)
        var count = 0
        var gap: Int?
        var i = 0
        let n = text.byteCount
        guard n >= 2, n <= 45 else { return nil }
        if text[0] == ASCII.colon {
            guard text[1] == ASCII.colon else { return nil }
            gap = 0
            i = 2
        }
        while i < n {
            guard count < 8 else { return nil }
            var value: UInt32 = 0
            var digits = 0
            let start = i
            while i < n, let digit = ASCII.hexValue(text[i]) {
                guard digits < 4 else { return nil }
                value = value << 4 | UInt32(digit)
                digits += 1
                i += 1
            }
            if i < n, text[i] == ASCII.dot {
                guard count <= 6, let v4 = readV4(text.extracting(start..<n)) else { return nil }
                groups[count] = UInt16(v4 >> 16)
                groups[count + 1] = UInt16(v4 & 0xffff)
                count += 2
                i = n
                break
            }
            guard digits > 0 else { return nil }
            groups[count] = UInt16(value)
            count += 1
            if i == n { break }
            guard text[i] == ASCII.colon else { return nil }
            i += 1
            if i < n, text[i] == ASCII.colon {
                guard gap == nil else { return nil }
                gap = count
                i += 1
            } else if i == n {
                return nil
            }
        }
        // A gap stands for one group of zeros at least.
        guard gap == nil ? count == 8 : count < 8 else { return nil }
        let zeros = 8 - count
        let zerosStart = gap ?? 8
        var high: UInt64 = 0
        var low: UInt64 = 0
        for g in 0..<8 {
            let group = g < zerosStart ? groups[g] : g < zerosStart + zeros ? 0 : groups[g - zeros]
            if g < 4 { high = high << 16 | UInt64(group) } else { low = low << 16 | UInt64(group) }
        }
        return IPAddress(high: high, low: low)
    }

    /// Appends the text form: dotted decimal, or RFC 5952.
    public func append(to buffer: inout ByteBuffer) {
        if isV4 {
            appendV4(to: &buffer)
        } else {
            appendV6(to: &buffer)
        }
    }

    private func appendV4(to buffer: inout ByteBuffer) {
        buffer.append(decimal: low >> 24 & 255)
        buffer.append(ASCII.dot)
        buffer.append(decimal: low >> 16 & 255)
        buffer.append(ASCII.dot)
        buffer.append(decimal: low >> 8 & 255)
        buffer.append(ASCII.dot)
        buffer.append(decimal: low & 255)
    }

    private func group(_ i: Int) -> UInt64 {
        i < 4 ? high >> UInt64(48 - 16 * i) & 0xffff : low >> UInt64(48 - 16 * (i - 4)) & 0xffff
    }

    private func appendV6(to buffer: inout ByteBuffer) {
        var bestStart = -1
        var bestLength = 1
        var i = 0
        while i < 8 {
            var j = i
            while j < 8, group(j) == 0 { j += 1 }
            if j - i > bestLength {
                bestStart = i
                bestLength = j - i
            }
            i = max(j, i + 1)
        }
        i = 0
        while i < 8 {
            if i == bestStart {
                buffer.append(ASCII.colon)
                buffer.append(ASCII.colon)
                i += bestLength
                continue
            }
            if i > 0, i != bestStart + bestLength || bestStart < 0 { buffer.append(ASCII.colon) }
            buffer.append(hexadecimal: group(i))
            i += 1
        }
    }

    /// The text form as a string; off the hot path.
    public var text: String {
        var buffer = ByteBuffer(capacity: 48)
        append(to: &buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }
}

/// An address block, `10.0.0.0/8` or `2001:db8::/32`; an address alone is a block of one.
public struct AddressBlock: Hashable, Sendable {
    public let network: IPAddress
    /// The mask over the 128-bit form.
    private let highMask: UInt64
    private let lowMask: UInt64

    /// Nil when the text is no block, or has bits set behind the prefix.
    public init?(_ text: String) {
        let parts = text.utf8.split(separator: ASCII.slash, maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(String(decoding: first, as: UTF8.self)) else { return nil }
        var bits = 128
        if parts.count == 2 {
            let digits = parts[1]
            let widest = address.isV4 ? 32 : 128
            guard (1...3).contains(digits.count), digits.allSatisfy(ASCII.isDigit),
                let given = Int(String(decoding: digits, as: UTF8.self)), given <= widest
            else { return nil }
            bits = address.isV4 ? given + 96 : given
        }
        highMask = bits >= 64 ? .max : bits == 0 ? 0 : ~UInt64(0) << UInt64(64 - bits)
        lowMask = bits <= 64 ? 0 : bits == 128 ? .max : ~UInt64(0) << UInt64(128 - bits)
        guard address.high & ~highMask == 0, address.low & ~lowMask == 0 else { return nil }
        network = address
    }

    /// The block's last address; `network` is its first.
    public var last: IPAddress { IPAddress(high: network.high | ~highMask, low: network.low | ~lowMask) }

    /// `10.0.0.0/8`, always with the length of the prefix.
    public var text: String {
        let bits = highMask.nonzeroBitCount + lowMask.nonzeroBitCount
        return "\(network.text)/\(network.isV4 ? bits - 96 : bits)"
    }

    public func contains(_ address: IPAddress) -> Bool {
        address.high & highMask == network.high && address.low & lowMask == network.low
    }
}

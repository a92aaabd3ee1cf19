/// Base64 with padding and without line breaks (RFC 4648 §4).
public enum Base64 {
    /// The length of the text that stands for `count` bytes; the greatest number for a count that no memory holds.
    public static func textCount(of count: Int) -> Int {
        let (sum, isTooLarge) = (count / 3 + (count % 3 == 0 ? 0 : 1)).multipliedReportingOverflow(by: 4)
        return isTooLarge ? .max : sum
    }

    /// The value of a letter of the alphabet, or nil.
    @inlinable
    public static func value(of letter: UInt8) -> UInt8? {
        if ASCII.isUpper(letter) { return letter - 0x41 }
        if ASCII.isLetter(letter) { return letter - 0x61 + 26 }
        if ASCII.isDigit(letter) { return letter - 0x30 + 52 }
        return letter == UInt8(ascii: "+") ? 62 : letter == ASCII.slash ? 63 : nil
    }

    /// Appends the bytes that a text stands for; false, and nothing appended, where it is not the one text that stands for them.
    ///
    /// Strict, so that two texts never mean the same: no white space, no letters of other alphabets, all of the padding and
    /// nothing behind it, no bits set that belong to no byte (RFC 4648 §3.5).
    public static func decode(_ text: RawSpan, into out: inout ByteBuffer) -> Bool {
        let count = text.byteCount
        guard count % 4 == 0 else { return false }
        guard count > 0 else { return true }
        let padding = text[count - 1] != ASCII.equals ? 0 : text[count - 2] != ASCII.equals ? 1 : 2
        let start = out.count
        var word: UInt32 = 0
        for i in 0..<(count - padding) {
            guard let value = value(of: text[i]) else {
                out.truncate(to: start)
                return false
            }
            word = word << 6 | UInt32(value)
            guard i % 4 == 3 else { continue }
            append(word, 3, to: &out)
            word = 0
        }
        switch padding {
        case 1:
            guard word & 0b11 == 0 else { break }
            append(word << 6, 2, to: &out)
            return true
        case 2:
            guard word & 0b1111 == 0 else { break }
            append(word << 12, 1, to: &out)
            return true
        default: return true
        }
        out.truncate(to: start)
        return false
    }

    /// The first `count` of the three bytes in a group of 24 bits.
    private static func append(_ group: UInt32, _ count: Int, to out: inout ByteBuffer) {
        for k in 0..<count { out.append(UInt8(truncatingIfNeeded: group >> UInt32(16 - 8 * k))) }
    }

    /// The letters in the order of their values.
    fileprivate static var alphabet: StaticString { "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/" }
}

extension ByteBuffer {
    /// Appends the bytes as Base64.
    public mutating func append(base64 bytes: RawSpan) {
        let letters = Base64.alphabet.utf8Start
        var i = 0
        while i < bytes.byteCount {
            let left = bytes.byteCount - i
            let group =
                UInt32(bytes[i]) << 16 | (left > 1 ? UInt32(bytes[i + 1]) << 8 : 0) | (left > 2 ? UInt32(bytes[i + 2]) : 0)
            for k in 0..<4 {
                append(k <= left ? letters[Int(group >> UInt32(18 - 6 * k) & 63)] : ASCII.equals)
            }
            i += 3
        }
    }
}

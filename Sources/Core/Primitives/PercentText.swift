/// Text with escapes, from a query or a path (RFC 3986 §2.1). What begins no escape stands for itself.
public enum PercentText {
    /// Bytes that are not UTF-8 become U+FFFD.
    public static func decoded(_ escaped: [UInt8]) -> String {
        String(decoding: bytes(escaped[...]), as: UTF8.self)
    }

    public static func bytes(_ escaped: ArraySlice<UInt8>) -> [UInt8] {
        var plain: [UInt8] = []
        plain.reserveCapacity(escaped.count)
        var i = escaped.startIndex
        while i < escaped.endIndex {
            if escaped[i] == ASCII.percent, escaped.endIndex - i > 2, let high = ASCII.hexValue(escaped[i + 1]),
                let low = ASCII.hexValue(escaped[i + 2])
            {
                plain.append(high << 4 | low)
                i += 3
            } else {
                plain.append(escaped[i])
                i += 1
            }
        }
        return plain
    }
}

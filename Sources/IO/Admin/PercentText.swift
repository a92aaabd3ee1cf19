import Primitives

/// Text with escapes, from a query or a path.
public enum PercentText {
    /// RFC 3986 §2.1; what begins no escape stands for itself.
    public static func decoded(_ bytes: [UInt8]) -> String {
        var result: [UInt8] = []
        var i = 0
        while i < bytes.count {
            if bytes[i] == ASCII.percent, bytes.count - i > 2, let high = ASCII.hexValue(bytes[i + 1]),
                let low = ASCII.hexValue(bytes[i + 2])
            {
                result.append(high << 4 | low)
                i += 3
            } else {
                result.append(bytes[i])
                i += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

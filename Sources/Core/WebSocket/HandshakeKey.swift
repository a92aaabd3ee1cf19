import Crypto
import Primitives

/// `Sec-WebSocket-Key` and the `Sec-WebSocket-Accept` that answers it: they show that whoever answers knows WebSocket, and
/// protect nothing (RFC 6455 §1.3, §4.2.2).
public enum HandshakeKey {
    /// Whether the value stands for 16 bytes in Base64: 22 letters and the padding.
    ///
    /// The last letter may have bits that belong to no byte: nobody decodes the key, and the example in RFC 6455 §4.1 has some.
    public static func isValid(_ value: RawSpan) -> Bool {
        guard value.byteCount == 24, value[22] == ASCII.equals, value[23] == ASCII.equals else { return false }
        for i in 0..<22 where Base64.value(of: value[i]) == nil { return false }
        return true
    }

    /// Appends the 28 letters that answer a key; false, and nothing appended, when there is no SHA-1 to be had.
    public static func appendAccept(for key: RawSpan, to out: inout ByteBuffer) -> Bool {
        var text = ByteBuffer(capacity: 64)
        text.append(key)
        text.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        guard let digest = SHA1Digest(of: text.bytes) else { return false }
        out.append(base64: digest.bytes.span.bytes)
        return true
    }

    /// Whether the value answers the key.
    static func isAccept(_ value: RawSpan, for key: RawSpan) -> Bool {
        var expected = ByteBuffer(capacity: 32)
        return appendAccept(for: key, to: &expected) && value.equals(expected.bytes)
    }
}

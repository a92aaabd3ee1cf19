import Primitives

/// `grpc-message`: text about a status, with percent escapes (gRPC over HTTP2, "Responses").
public enum GRPCMessage {
    /// Appends the text so that it can stand in a field: bytes from space to `~` as they are, `%` and all others escaped.
    public static func append(_ text: RawSpan, to out: inout ByteBuffer) {
        for i in 0..<text.byteCount {
            let byte = text[i]
            if byte >= 0x20, byte <= 0x7e, byte != ASCII.percent {
                out.append(byte)
            } else {
                out.append(ASCII.percent)
                out.append(hexDigit(byte >> 4))
                out.append(hexDigit(byte & 15))
            }
        }
    }

    /// The text that a field's value stands for, for the log; its bytes are whatever the backend sent, and may be anything. What
    /// is no escape stands for itself, as receivers must have it. No more than `limit` bytes of the value are read.
    public static func decoded(_ value: RawSpan, limit: Int) -> [UInt8] {
        let value = value.extracting(0..<max(0, min(limit, value.byteCount))).array()
        return PercentText.bytes(value[...])
    }

    private static func hexDigit(_ value: UInt8) -> UInt8 { value < 10 ? 0x30 + value : 0x37 + value }
}

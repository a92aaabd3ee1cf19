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
                out.append(ASCII.hexDigit(byte >> 4))
                out.append(ASCII.hexDigit(byte & 15))
            }
        }
    }
}

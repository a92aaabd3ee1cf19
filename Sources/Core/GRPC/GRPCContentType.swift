import HTTPMessages
import Primitives

/// Whether a message is one of gRPC over HTTP, by its `Content-Type` (gRPC over HTTP2, "Requests"): `application/grpc`, with
/// `+proto`, `+json` or another format, and parameters.
///
/// `application/grpc-web` is not: it is another protocol, which carries the trailers in the body and goes through HTTP/1.1 like
/// any request. Its clients make a gRPC status out of an HTTP status themselves, so they get the gateway's errors as HTTP.
public enum GRPCContentType {
    public static func isGRPC(_ head: borrowing RequestHead) -> Bool { isGRPC(head.headers) }

    public static func isGRPC(_ head: borrowing ResponseHead) -> Bool { isGRPC(head.headers) }

    public static func isGRPC(_ headers: borrowing HeaderBlock) -> Bool {
        guard let index = headers.firstIndex(of: .contentType) else { return false }
        return isGRPC(headers.value(index))
    }

    static func isGRPC(_ value: RawSpan) -> Bool {
        let count = 16
        guard value.byteCount >= count, value.extracting(0..<count).equals(ignoringCase: "application/grpc") else { return false }
        if value.byteCount == count { return true }
        switch value[count] {
        case UInt8(ascii: "+"), ASCII.semicolon, ASCII.space, ASCII.tab: return true
        default: return false
        }
    }
}

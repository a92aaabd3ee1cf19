import Primitives

/// The body of a refusal: the gateway's own JSON form, or problem details (RFC 9457) for a client that prefers them.
public enum RefusalBody {
    public enum Format: Sendable {
        case json
        case problem

        public var contentType: StaticString {
            switch self {
            case .json: "application/json; charset=utf-8"
            case .problem: "application/problem+json"
            }
        }
    }

    /// The most bytes of a detail that are shown.
    public static var detailBytesMax: Int { 256 }
    static var requestIDBytesMax: Int { 128 }

    /// Appends the body.
    /// - Parameters:
    ///   - detail: what exactly was wrong, for people; may hold bytes of the request. Empty leaves it out.
    ///   - requestID: may be empty, when there was no request to give one to; then it is `null`.
    public static func write(
        _ refusal: Refusal, detail: RawSpan, requestID: RawSpan, format: Format, into buffer: inout ByteBuffer
    ) {
        switch format {
        case .json: writeJSON(refusal, detail, requestID, into: &buffer)
        case .problem: writeProblem(refusal, detail, requestID, into: &buffer)
        }
    }

    public static func write(
        _ refusal: Refusal, detail: StaticString, requestID: RawSpan, format: Format, into buffer: inout ByteBuffer
    ) {
        let bytes = RawSpan(_unsafeStart: UnsafeRawPointer(detail.utf8Start), byteCount: detail.utf8CodeUnitCount)
        write(refusal, detail: bytes, requestID: requestID, format: format, into: &buffer)
    }

    /// `{"error":{"code","message","details":{"reason","detail"}},"request_id"}`
    private static func writeJSON(_ refusal: Refusal, _ detail: RawSpan, _ requestID: RawSpan, into buffer: inout ByteBuffer) {
        buffer.append("{\"error\":{\"code\":\"")
        buffer.append(refusal.code.name)
        buffer.append("\",\"message\":\"")
        buffer.append(refusal.message)
        buffer.append("\",\"details\":{\"reason\":\"")
        buffer.append(refusal.reason.name)
        if detail.byteCount > 0 {
            buffer.append("\",\"detail\":\"")
            JSONText.append(escaping: detail, limit: detailBytesMax, into: &buffer)
        }
        buffer.append("\"}},\"request_id\":")
        writeRequestID(requestID, into: &buffer)
        buffer.append("}\n")
    }

    /// RFC 9457 §3. The type is a name, not an address: one for each reason. `instance` is a name as well, since the request
    /// cannot be looked up anywhere.
    private static func writeProblem(
        _ refusal: Refusal, _ detail: RawSpan, _ requestID: RawSpan, into buffer: inout ByteBuffer
    ) {
        buffer.append("{\"type\":\"urn:sluice:error:")
        buffer.append(refusal.reason.name)
        buffer.append("\",\"title\":\"")
        buffer.append(StatusPhrase.text(of: refusal.status))
        buffer.append("\",\"status\":")
        buffer.append(decimal: UInt64(refusal.status))
        buffer.append(",\"detail\":\"")
        buffer.append(refusal.message)
        if detail.byteCount > 0 {
            buffer.append(" ")
            JSONText.append(escaping: detail, limit: detailBytesMax, into: &buffer)
        }
        if requestID.byteCount > 0 {
            buffer.append("\",\"instance\":\"urn:sluice:request:")
            JSONText.append(escaping: requestID, limit: requestIDBytesMax, into: &buffer)
        }
        buffer.append("\",\"code\":\"")
        buffer.append(refusal.code.name)
        buffer.append("\",\"reason\":\"")
        buffer.append(refusal.reason.name)
        buffer.append("\",\"request_id\":")
        writeRequestID(requestID, into: &buffer)
        buffer.append("}\n")
    }

    private static func writeRequestID(_ requestID: RawSpan, into buffer: inout ByteBuffer) {
        guard requestID.byteCount > 0 else { return buffer.append("null") }
        buffer.append(ASCII.quote)
        JSONText.append(escaping: requestID, limit: requestIDBytesMax, into: &buffer)
        buffer.append(ASCII.quote)
    }
}

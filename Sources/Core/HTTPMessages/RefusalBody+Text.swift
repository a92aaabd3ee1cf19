import Primitives

/// An error that somebody else's middleware describes: the same two forms, with texts that are made at run time.
extension RefusalBody {
    public static func write(
        status: UInt16, code: String, reason: String, message: String, requestID: RawSpan, format: Format,
        into buffer: inout ByteBuffer
    ) {
        switch format {
        case .json:
            buffer.append("{\"error\":{\"code\":\"")
            append(code, into: &buffer)
            buffer.append("\",\"message\":\"")
            append(message, into: &buffer)
            buffer.append("\",\"details\":{\"reason\":\"")
            append(reason, into: &buffer)
            buffer.append("\"}},\"request_id\":\"")
        case .problem:
            buffer.append("{\"type\":\"urn:sluice:error:")
            append(reason, into: &buffer)
            buffer.append("\",\"title\":\"")
            buffer.append(StatusPhrase.text(of: status))
            buffer.append("\",\"status\":")
            buffer.append(decimal: UInt64(status))
            buffer.append(",\"detail\":\"")
            append(message, into: &buffer)
            buffer.append("\",\"instance\":\"urn:sluice:request:")
            JSONText.append(escaping: requestID, limit: requestIDBytesMax, into: &buffer)
            buffer.append("\",\"code\":\"")
            append(code, into: &buffer)
            buffer.append("\",\"reason\":\"")
            append(reason, into: &buffer)
            buffer.append("\",\"request_id\":\"")
        }
        JSONText.append(escaping: requestID, limit: requestIDBytesMax, into: &buffer)
        buffer.append("\"}\n")
    }

    /// The fields that every error body comes with.
    public static func addFields(to head: inout ResponseHead, format: Format) {
        head.headers.add(.contentType, value: Refusal.bytes(format.contentType))
        head.headers.add(.other, name: Refusal.bytes("x-content-type-options"), value: Refusal.bytes("nosniff"))
        head.headers.add(.cacheControl, value: Refusal.bytes("no-store"))
        head.headers.add(.server, value: Refusal.bytes("sluice"))
    }

    private static func append(_ text: String, into buffer: inout ByteBuffer) {
        JSONText.append(escaping: text, limit: 1024, into: &buffer)
    }
}

extension Reason {
    /// The reason of this name; `.response` for a name that a middleware has made up, so that the set stays bounded.
    public init(named name: String) {
        self = Reason.allCases.first { "\($0.name)" == name } ?? .response
    }
}

import HTTPMessages
import Primitives

/// An answer that is all head: HTTP 200 with the call's status in it, and no body (gRPC over HTTP2, "Responses"). The gateway's
/// own answers to gRPC calls are of this kind, since clients look at the HTTP status only where there is no other.
///
/// Over HTTP/2 the head ends the stream; over HTTP/1.1 it says `Content-Length: 0`.
public enum TrailersOnly {
    /// Appends `grpc-status` and `grpc-message` as field lines: for such a head, or for trailers behind a body that broke off.
    /// - Parameter message: for people; empty leaves the field out.
    public static func appendFields(_ status: GRPCStatus, message: RawSpan, to out: inout ByteBuffer) {
        out.append("grpc-status: ")
        out.append(decimal: UInt64(status.rawValue))
        out.append("\r\n")
        guard message.byteCount > 0 else { return }
        out.append("grpc-message: ")
        GRPCMessage.append(message, to: &out)
        out.append("\r\n")
    }

    /// Adds the same to a block.
    public static func addFields(_ status: GRPCStatus, message: RawSpan, to headers: inout HeaderBlock) {
        headers.addComposed(named: "grpc-status") { $0.append(decimal: UInt64(status.rawValue)) }
        // Escapes may make three bytes of each; a field's value has at most 65,535.
        let shown = message.extracting(0..<min(message.byteCount, messageBytesMax))
        if shown.byteCount > 0 { headers.addComposed(named: "grpc-message") { GRPCMessage.append(shown, to: &$0) } }
    }

    /// Fills an empty head with what a gRPC client gets in the place of a refusal.
    /// - Parameters:
    ///   - status: nil for what the refusal itself stands for.
    ///   - requestID: empty leaves `X-Request-ID` out.
    public static func fill(
        _ head: inout ResponseHead, with refusal: Refusal, status: GRPCStatus? = nil, requestID: RawSpan
    ) {
        let message = RawSpan(
            _unsafeStart: UnsafeRawPointer(refusal.message.utf8Start), byteCount: refusal.message.utf8CodeUnitCount)
        fill(&head, status: status ?? GRPCStatus(refusal), message: message)
        if requestID.byteCount > 0 { head.headers.add(.xRequestID, value: requestID) }
        if let proxyStatus = refusal.proxyStatus {
            head.headers.addComposed(.proxyStatus) {
                $0.append("sluice; error=")
                $0.append(proxyStatus)
            }
        }
    }

    /// Makes a head one that ends a call with this status. Other fields that it has stay.
    public static func fill(_ head: inout ResponseHead, status: GRPCStatus, message: RawSpan) {
        head.status = 200
        head.framing = .length(0)
        head.declaredLength = 0
        head.headers.removeAll(.contentType)
        head.headers.removeAll(.cacheControl)
        head.headers.removeAll(.server)
        head.headers.addComposed(.contentType) { $0.append("application/grpc") }
        head.headers.addComposed(.cacheControl) { $0.append("no-store") }
        head.headers.addComposed(.server) { $0.append("sluice") }
        addFields(status, message: message, to: &head.headers)
    }

    /// Whether a head or a block of trailers says how the call ended. A call whose answer ends without it has failed.
    public static func hasStatus(_ headers: borrowing HeaderBlock) -> Bool { headers.firstIndex(named: "grpc-status") != nil }

    /// How the call ended, as a head or a block of trailers says; UNKNOWN for a number that gRPC has no name for; nil when it
    /// says nothing.
    public static func status(_ headers: borrowing HeaderBlock) -> GRPCStatus? {
        guard let index = headers.firstIndex(named: "grpc-status") else { return nil }
        let value = headers.value(index)
        guard value.byteCount >= 1, value.byteCount <= 2 else { return .unknown }
        var number: UInt8 = 0
        for i in 0..<value.byteCount {
            guard ASCII.isDigit(value[i]) else { return .unknown }
            number = number * 10 + (value[i] - ASCII.zero)
        }
        return GRPCStatus(rawValue: number) ?? .unknown
    }

    private static var messageBytesMax: Int { 1024 }
}

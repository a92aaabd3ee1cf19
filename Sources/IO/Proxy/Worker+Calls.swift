import Exchange
import GRPC
import HTTP1
import HTTP2
import HTTPMessages
import Multiplexing
import Pipeline
import Primitives
import Reactor

/// gRPC calls: how one ends is told in trailers, whatever became of the backend, so that its client never has to guess.
extension Worker {
    /// A gRPC call begins: its answers have a status of their own, and its client says how long it waits.
    /// - Returns: false when what it says cannot be read.
    func beginCall(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.isGRPC = true
        exchange.pointee.isPlain = false
        do throws(GRPCTimeoutFault) {
            guard let timeout = try GRPCTimeout.read(exchange.pointee.head.headers), timeout != .forever else { return true }
            let deadline = exchange.pointee.started + timeout
            if deadline < exchange.pointee.requestDeadline { exchange.pointee.requestDeadline = deadline }
            return true
        } catch {
            return false
        }
    }

    /// The backend's head is here, and may hold the status already.
    func noteCallStatus(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        if let status = TrailersOnly.status(response.headers) {
            exchange.pointee.hasGRPCStatus = true
            exchange.pointee.grpcStatus = status.rawValue
        } else if response.status != 200 {
            // Not an answer of gRPC: its client makes a status of this one.
            exchange.pointee.hasGRPCStatus = true
        }
    }

    /// The trailers of the answer, without those that may not be passed on, as a section of lines and an empty one; for a call that ends
    /// without a status, with the one that says so. Appended to `out`; nothing where there are none.
    /// - Returns: false when what came is malformed.
    func composeTrailers(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        let start = out.count
        if !exchange.pointee.responseTrailers.isEmpty {
            guard let block = readTrailers(exchange.pointee.responseTrailers, .response),
                HeadSerialiser.fields(of: block, into: &out)
            else { return false }
            if exchange.pointee.isGRPC, let status = TrailersOnly.status(block) {
                exchange.pointee.hasGRPCStatus = true
                exchange.pointee.grpcStatus = status.rawValue
            }
        }
        if exchange.pointee.isGRPC, !exchange.pointee.hasGRPCStatus {
            appendStatus(slot, .unavailable, "the service ended the call without a status")
        }
        if out.count > start { out.append("\r\n") }
        return true
    }

    /// The end of a call's answer that a client of HTTP/1.1 gets in chunks: the last one, and the trailers. Appended to `out`.
    func appendLastChunk(_ slot: Int) -> Bool {
        out.append("0\r\n")
        let start = out.count
        guard composeTrailers(slot) else { return false }
        if out.count == start { out.append("\r\n") }
        return true
    }

    private func appendStatus(_ slot: Int, _ status: GRPCStatus, _ message: StaticString) {
        let text = RawSpan(_unsafeStart: UnsafeRawPointer(message.utf8Start), byteCount: message.utf8CodeUnitCount)
        TrailersOnly.appendFields(status, message: text, to: &out)
        exchanges.pointer(slot).pointee.hasGRPCStatus = true
        exchanges.pointer(slot).pointee.grpcStatus = status.rawValue
    }

    /// The answer of a call breaks off: on a stream its end can still say why.
    /// - Returns: false where nothing can be said any more.
    func endsCall(_ slot: Int, _ reason: Reason) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.isGRPC, !exchange.pointee.hasGRPCStatus, exchange.pointee.clientStream != nil,
            exchange.pointee.clientFraming != .none, exchange.pointee.firstByteAt != .never
        else { return false }
        let status: GRPCStatus
        switch reason {
        case .clientClosed, .clientTimeout: return false
        case .upstreamTimeout: status = .deadlineExceeded
        case .bodyTooLarge: status = .resourceExhausted
        case .upstreamReset, .upstreamTruncated:
            status = exchange.pointee.resetCode.map { GRPCStatus(http2ErrorCode: $0) } ?? .unavailable
        default: status = .unavailable
        }
        out.clear()
        exchange.pointee.responseTrailers.discard()
        appendStatus(slot, status, "the call broke off")
        out.append("\r\n")
        sendEndOfStream(slot, trailers: out.unsafeBytes)
        out.clear()
        return true
    }
}

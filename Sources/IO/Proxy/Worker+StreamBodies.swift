import Downstream
import Exchange
import HTTP1
import HTTP2
import HTTPMessages
import Multiplexing
import Pipeline
import Primitives
import Reactor

/// A request's body from its client's stream, and its answer to it.
extension Worker {
    /// Bytes of answers that one connection may hold for a client that does not read; beyond that nothing more is read for it.
    private static var heldBytesMax: Int { 1 << 20 }

    // The request.

    /// How the body is read: a stream says itself where it ends, and the session has compared that with `Content-Length` (RFC 9113 §8.1.1).
    func bodyReader(_ slot: Int) -> BodyReader {
        let exchange = exchanges.pointer(slot)
        let framing = exchange.pointee.head.framing
        return BodyReader(exchange.pointee.clientStream != nil && framing.hasBody ? .untilClose : framing)
    }

    /// Body bytes have come.
    func bodyReceived(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        let token = exchange.pointee.context.exchangeToken
        if case .forwarded = exchange.pointee.step, exchange.pointee.streamInput.isEmpty, backendTakes(slot),
            !exchange.pointee.machine.requestRead, !exchange.pointee.uploadFailed
        {
            _ = pass(slot, bytes)
            guard exchanges.isLive(Token(raw: token)) else { return }
            returnWindow(slot, bytes.count)
            if case .forwarded = exchange.pointee.step { continueForwarding(slot) }
            return
        }
        if exchange.pointee.uploadFailed || exchange.pointee.machine.requestRead && !exchange.pointee.head.wantsUpgrade {
            return returnWindow(slot, bytes.count)
        }
        if case .tunnelled = exchange.pointee.step {
            exchange.pointee.streamInput.append(bytes)
            return continueUpload(slot)
        }
        exchange.pointee.streamInput.append(bytes)
        if case .collecting = exchange.pointee.step { continueCollecting(slot) }
    }

    /// The last byte of the body has come.
    func bodyEnded(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.streamHasEnded = true
        excuseClient(slot)
        switch exchange.pointee.step {
        case .forwarded: continueForwarding(slot)
        case .collecting: continueCollecting(slot)
        case .tunnelled: continueUpload(slot)
        case .idle, .requestSuspended, .queued, .connecting, .backingOff, .responseSuspended, .answered: break
        }
    }

    /// The client may send as many bytes more.
    func returnWindow(_ slot: Int, _ count: Int) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.client)
        guard count > 0, let streams = clients.pointer(index).pointee.streams, let stream = exchange.pointee.clientStream else {
            return
        }
        streams.pointee.http2.consume(stream, count)
        markDirty(client: index)
    }

    /// Passes on what has come of the body, and its end.
    func continueStreamForwarding(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let token = exchange.pointee.context.exchangeToken
        while backendTakes(slot), !exchange.pointee.machine.requestRead, !exchange.pointee.uploadFailed {
            if !exchange.pointee.streamInput.isEmpty {
                var input = exchange.pointee.streamInput
                exchange.pointee.streamInput = Incoming()
                let count = input.count
                _ = pass(slot, input.bytes)
                input.discard()
                guard exchanges.isLive(Token(raw: token)) else { return }
                returnWindow(slot, count)
                guard case .forwarded = exchange.pointee.step else { return }
                continue
            }
            guard exchange.pointee.streamHasEnded else { break }
            endBody(slot)
            guard exchanges.isLive(Token(raw: token)), case .forwarded = exchange.pointee.step else { return }
        }
    }

    /// The body is complete: its framing is closed towards the backend.
    private func endBody(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        _ = exchange.pointee.requestBody.inputClosed()
        _ = pass(slot, .empty)
    }

    // The answer.

    func streamTakes(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard let stream = exchange.pointee.clientStream,
            let streams = clients.pointer(Int(exchange.pointee.client)).pointee.streams
        else { return true }
        // Every answer has its head, however much the others hold, and what comes with that in one read.
        if case .awaitingHead = exchange.pointee.machine.state { return true }
        guard streams.pointee.http2.pendingTotal < Self.heldBytesMax else {
            streams.pointee.holdsBack = true
            return false
        }
        // Frames need no limit of their own: what finds many gathered waits as pending bytes, and the session tells when they are fewer.
        return streams.pointee.http2.takesMore(stream)
    }

    /// Streams that had to wait for what others have to send may go on; the session tells only of their own bytes.
    func wakeHeldStreams(_ index: Int) {
        guard let streams = clients.pointer(index).pointee.streams, streams.pointee.holdsBack,
            streams.pointee.http2.pendingTotal < Self.heldBytesMax / 2
        else { return }
        streams.pointee.holdsBack = false
        let tokens = streams.pointee.slots.map { exchanges.pointer(Int($0)).pointee.context.exchangeToken }
        for raw in tokens where exchanges.isLive(Token(raw: raw)) {
            let slot = Token(raw: raw).index
            guard awaitsAnswer(slot), clientTakes(slot) else { continue }
            exchanges.pointer(slot).pointee.clientDeadline = .never
            clientDrained(slot)
        }
    }

    /// The backend may have something for the client, if only the head.
    private func awaitsAnswer(_ slot: Int) -> Bool {
        switch exchanges.pointer(slot).pointee.step {
        case .forwarded, .tunnelled: true
        case .idle, .collecting, .requestSuspended, .queued, .connecting, .backingOff, .responseSuspended, .answered: false
        }
    }

    func writeToStream(_ slot: Int, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .empty) -> Sent {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.client)
        guard let streams = clients.pointer(index).pointee.streams, let stream = exchange.pointee.clientStream else {
            return .failed(SystemError.brokenPipe)
        }
        gather(clients.pointer(index), streams, stream, first, second)
        markDirty(client: index)
        if streamTakes(slot) { return .all }
        armClientSide(slot, now + listenerLimits(index).writeTimeout)
        return .blocked
    }

    /// The head of the answer, which stands in `out`.
    func writeHeadToStream(_ slot: Int, endsStream: Bool) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.client)
        guard let streams = clients.pointer(index).pointee.streams, let stream = exchange.pointee.clientStream else { return }
        streams.pointee.http2.submitResponse(stream, out.unsafeBytes, endsStream: endsStream)
        out.clear()
        markDirty(client: index)
    }

    func writeInterimToStream(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.client)
        guard let streams = clients.pointer(index).pointee.streams, let stream = exchange.pointee.clientStream else { return }
        streams.pointee.http2.submitInterim(stream, out.unsafeBytes)
        out.clear()
        markDirty(client: index)
    }

    /// The answer is complete.
    func endClientStream(_ slot: Int) {
        out.clear()
        guard composeTrailers(slot) else {
            out.clear()
            return sendEndOfStream(slot, trailers: .empty)
        }
        sendEndOfStream(slot, trailers: out.unsafeBytes)
        out.clear()
    }

    func sendEndOfStream(_ slot: Int, trailers: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.client)
        guard let streams = clients.pointer(index).pointee.streams, let stream = exchange.pointee.clientStream else { return }
        streams.pointee.http2.end(stream, trailers: trailers.count > 0 ? trailers : nil)
        markDirty(client: index)
    }
}

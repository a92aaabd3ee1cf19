import Downstream
import Exchange
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Reactor

/// Requests whose body is read whole before the route's action sees it.
extension Worker {
    /// Bytes of a body that is kept in memory; a configuration with ten thousand routes has two millions.
    static var collectedBytesMax: Int { 16 << 20 }

    /// Begins to read the body; calls `collected` once all of it is here.
    func startCollecting(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        exchange.pointee.step = .collecting
        exchange.pointee.bodyStarted = now
        if exchange.pointee.owesContinue {
            exchange.pointee.owesContinue = false
            if !hasUnreadInput(slot) { sendContinue(slot) }
        }
        continueCollecting(slot)
    }

    func continueCollecting(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let index = Int(exchange.pointee.client)
        let client = clients.pointer(index)
        if exchange.pointee.clientStream != nil { return continueCollectingStream(slot) }
        var reads = 0
        while !exchange.pointee.machine.requestRead {
            if !client.pointee.input.isEmpty {
                guard let consumed = take(slot, client.pointee.input.bytes) else { return }
                client.pointee.input.removeFirst(consumed)
                continue
            }
            guard client.pointee.isReadable else {
                if isTooSlow(slot) { return clientStalled(slot) }
                return armClient(index, now + listenerLimits(index).bodyIdleTimeout)
            }
            guard reads < Self.readsPerTurn else { return deferClient(index) }
            reads += 1
            switch receive(fromClient: index) {
            case .nothingYet: continue
            case .end: return abandonExchange(slot, .clientClosed)
            case .bytes(let bytes):
                guard let consumed = take(slot, bytes) else { return }
                stash(UnsafeRawBufferPointer(rebasing: bytes[consumed...]), of: slot)
            }
        }
        client.pointee.deadline.clear()
        exchange.pointee.step = .idle
        collected(slot)
    }

    private func continueCollectingStream(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        if !exchange.pointee.streamInput.isEmpty {
            var input = exchange.pointee.streamInput
            exchange.pointee.streamInput = Incoming()
            let taken = take(slot, input.bytes)
            input.discard()
            guard let taken else { return }
            returnWindow(slot, taken)
        }
        guard exchange.pointee.streamHasEnded else {
            if isTooSlow(slot) { return clientStalled(slot) }
            return armClientSide(slot, now + listenerLimits(Int(exchange.pointee.client)).bodyIdleTimeout)
        }
        exchange.pointee.machine.requestEnded()
        exchange.pointee.clientDeadline = .never
        exchange.pointee.step = .idle
        collected(slot)
    }

    /// - Returns: how many bytes belonged to the body; nil when the request has been answered.
    private func take(_ slot: Int, _ bytes: UnsafeRawBufferPointer) -> Int? {
        let exchange = exchanges.pointer(slot)
        let input = RawSpan(_unsafeBytes: bytes)
        var consumed = 0
        while true {
            switch exchange.pointee.requestBody.next(input.extracting(consumed..<bytes.count)) {
            case .data(let range):
                let start = consumed + range.lowerBound
                exchange.pointee.collected.append(contentsOf: bytes[start..<(start + range.count)])
                exchange.pointee.requestBytes += UInt64(range.count)
                consumed += range.upperBound
                guard exchange.pointee.collected.count <= Self.collectedBytesMax else {
                    refuse(slot, .bodyTooLarge)
                    return nil
                }
                if exchange.pointee.requestBody.isComplete {
                    exchange.pointee.machine.requestEnded()
                    return consumed
                }
            case .trailers(let range):
                consumed += range.upperBound
            case .needMore(let count):
                return consumed + count
            case .end(let count):
                exchange.pointee.machine.requestEnded()
                return consumed + count
            case .refused:
                refuse(slot, .badRequest)
                return nil
            }
        }
    }
}

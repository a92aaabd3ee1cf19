import Exchange
import HTTPMessages
import Primitives
import Reactor
import Upstream

/// The backend's side of a request, whichever protocol it is spoken to in: a connection of HTTP/1 that is lent to it, or one stream of an
/// HTTP/2 connection that it shares.
extension Worker {
    /// Whether the backend takes more of the request: all that was written before is on its way.
    @inline(__always)
    func backendTakes(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard !exchange.pointee.sharesBackend else { return backendStreamTakes(slot) }
        return backends.pointer(Int(exchange.pointee.backend)).pointee.outgoing.isEmpty
    }

    @inline(__always)
    func writeToBackend(_ slot: Int, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .empty) -> Sent {
        let exchange = exchanges.pointer(slot)
        guard !exchange.pointee.sharesBackend else { return writeToBackendStream(slot, first, second) }
        return send(backends.pointer(Int(exchange.pointee.backend)), first, second)
    }

    /// The backend is to take, or to send, something until then.
    @inline(__always)
    func armBackendSide(_ slot: Int, _ deadline: Instant) {
        let exchange = exchanges.pointer(slot)
        guard !exchange.pointee.sharesBackend else {
            exchange.pointee.upstreamDeadline = deadline
            return armExchange(slot)
        }
        armBackend(Int(exchange.pointee.backend), deadline)
    }

    /// Nothing is expected of the backend: it is the client's turn.
    @inline(__always)
    func excuseBackend(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard !exchange.pointee.sharesBackend else {
            exchange.pointee.upstreamDeadline = .never
            return
        }
        backends.pointer(Int(exchange.pointee.backend)).pointee.deadline.clear()
    }

    /// The backend is to take or to send something before its idle timeout is over.
    func armIdleBackend(_ slot: Int) {
        guard exchanges.pointer(slot).pointee.backend >= 0 else { return }
        armBackendSide(slot, now + idleTimeout(slot))
    }

    /// It takes nothing more. What it said before that is looked for once this turn's events are through, since whoever passes a request on
    /// still holds bytes of it.
    func readLastWords(ofBackend index: Int) {
        let backend = backends.pointer(index)
        backend.pointee.isReadable = true
        backend.pointee.isHalfClosed = true
        deferBackend(index)
    }
}

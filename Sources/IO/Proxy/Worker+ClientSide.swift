import Downstream
import Exchange
import HTTPMessages
import Primitives
import Reactor

/// The client's side of a request, whichever protocol it came by: of HTTP/1 it has the connection for itself, of HTTP/2 one stream
/// of it. What is above asks here and does not know which.
extension Worker {
    /// Whether the client takes more of its answer: all that was written before is on its way.
    @inline(__always)
    func clientTakes(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.clientStream == nil else { return streamTakes(slot) }
        return clients.pointer(Int(exchange.pointee.client)).pointee.outgoing.isEmpty
    }

    /// Hands bytes of the answer to the client's connection; `.blocked` keeps them until the client reads, and starts its time.
    @inline(__always)
    func writeToClient(_ slot: Int, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .empty) -> Sent {
        let index = Int(exchanges.pointer(slot).pointee.client)
        guard exchanges.pointer(slot).pointee.clientStream == nil else { return writeToStream(slot, first, second) }
        let sent = send(clients.pointer(index), first, second)
        if case .blocked = sent { armClient(index, now + listenerLimits(index).writeTimeout) }
        return sent
    }

    /// The client is to send, or to take, something until then.
    @inline(__always)
    func armClientSide(_ slot: Int, _ deadline: Instant) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.clientStream == nil else {
            exchange.pointee.clientDeadline = deadline
            return armExchange(slot)
        }
        armClient(Int(exchange.pointee.client), deadline)
    }

    /// Nothing is expected of the client; one that still has to read its answer keeps its time.
    @inline(__always)
    func excuseClient(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.clientStream == nil else {
            if clientTakes(slot) { exchange.pointee.clientDeadline = .never }
            return
        }
        let client = clients.pointer(Int(exchange.pointee.client))
        if client.pointee.outgoing.isEmpty { client.pointee.deadline.clear() }
    }

    /// Bytes of the body have been received and not been passed on.
    @inline(__always)
    func hasUnreadInput(_ slot: Int) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.clientStream == nil else { return !exchange.pointee.streamInput.isEmpty }
        return !clients.pointer(Int(exchange.pointee.client)).pointee.input.isEmpty
    }

    /// What was received behind a head stays until it is wanted.
    func stash(_ rest: UnsafeRawBufferPointer, of slot: Int) {
        guard rest.count > 0 else { return }
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.clientStream == nil else { return exchange.pointee.streamInput.append(rest) }
        clients.pointer(Int(exchange.pointee.client)).pointee.input.append(rest)
    }
}

import Downstream
import HTTPMessages
import Primitives
import ProxyProtocol
import Reactor
import Telemetry

/// Connections of balancers that say who the client is before its first request.
///
/// Where a listener expects such a header, nobody is served without: whoever is not named as a balancer is turned away, and a header that is
/// missing, late or broken ends the connection without an answer, since nobody knows whom it would reach.
extension Worker {
    /// Somebody who is not trusted to say who the client is.
    func refuseProxyPeer(_ descriptor: Int32, _ peer: IPAddress, _ label: Label) {
        count(label, .proxyPeerRefused)
        report(.client(peer), "proxy_peer_not_trusted")
        calls.close(descriptor, 1)
    }

    func refuseProxyHeader(_ index: Int, _ result: ConnectionResult, _ rule: StaticString) {
        let client = clients.pointer(index)
        count(client.pointee.label, result)
        report(.client(client.pointee.peer), rule, client.pointee.input.bytes)
        closeClient(index)
    }

    /// Its time is over; or the listener's, and then a silent balancer has done nothing wrong.
    func proxyHeaderTimedOut(_ index: Int) {
        let client = clients.pointer(index)
        let isOver = phase != .serving || listeners[Int(client.pointee.listener)].index == nil
        if isOver, client.pointee.input.isEmpty { return closeClient(index) }
        refuseProxyHeader(index, .proxyHeaderMissing, "header_missing")
    }

    func readProxyHeader(_ index: Int) {
        let client = clients.pointer(index)
        while client.pointee.isReadable {
            switch receive(fromClient: index) {
            case .nothingYet: return
            // A balancer's own check connects and says nothing; that is no fault.
            case .end where client.pointee.input.isEmpty: return closeClient(index)
            case .end: return refuseProxyHeader(index, .proxyHeaderInvalid, "header_cut_off")
            case .bytes(let bytes): client.pointee.input.append(bytes)
            }
            switch ProxyHeader.parse(RawSpan(_unsafeBytes: client.pointee.input.bytes)) {
            case .needMore: continue
            case .refused(let fault): return refuseProxyHeader(index, .proxyHeaderInvalid, fault.reason)
            case .header(let consumed, let source):
                client.pointee.input.removeFirst(consumed)
                return beginBehindProxy(index, source)
            }
        }
    }

    private func beginBehindProxy(_ index: Int, _ source: ProxyHeader.Client) {
        let client = clients.pointer(index)
        if case .address(let address, let port) = source {
            let limit = listenerLimits(index).connectionsPerClient
            let mayHaveIt = limits.move(from: client.pointee.peer, to: address, perClient: limit)
            client.pointee.peer = address
            client.pointee.port = port
            client.pointee.isUnix = false
            guard mayHaveIt else {
                count(client.pointee.label, .overClientLimit)
                return closeClient(index, reset: true)
            }
        }
        client.pointee.phase = firstPhase(rules(of: index))
        client.pointee.hasUnparsedInput = !client.pointee.input.isEmpty
        clientReadable(index)
    }
}

extension [AddressBlock] {
    func contains(_ address: IPAddress) -> Bool { contains { $0.contains(address) } }
}

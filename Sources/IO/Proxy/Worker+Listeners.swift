import Configuration
import Downstream
import Primitives
import Reactor
import Telemetry

/// A listening socket of this worker, under whichever configurations name it.
struct ListenerState {
    var socket: ListeningSocket
    var address: ListenAddress
    /// The index of its address in the newest configuration; nil once that no longer names it.
    var index: Int?
    var isPaused = false
    var openClients = 0
}

extension Worker {
    /// Connections taken from one listener before other events get their turn.
    private static var acceptsPerTurn: Int { 64 }
    /// How long a listener rests when descriptors have run out: trying again at once would only burn the processor.
    private static var pause: TimeAmount { .milliseconds(100) }

    /// - Returns: whether there may be more.
    func acceptClients(listener: Int) -> Bool {
        guard listener < listeners.count, listeners[listener].index != nil, listeners[listener].socket.descriptor >= 0 else {
            return false
        }
        for _ in 0..<Self.acceptsPerTurn {
            if limits.isFull, !closeIdleClients(atMost: 16) {
                pauseAccepting(listener)
                return false
            }
            var peer = SocketAddress.Raw()
            let fd = calls.accept(listeners[listener].socket.descriptor, &peer)
            if fd >= 0 {
                admit(fd, peer, listener)
                continue
            }
            switch -Int(fd) {
            case SystemError.again: return false
            case SystemError.tooManyOpen, SystemError.tooManyOpenInSystem, SystemError.noBuffers, SystemError.noMemory:
                outOfDescriptors(listener, AcceptError(errno: -fd))
                // Ten thousand idle connections must not keep new ones out.
                if !closeIdleClients(atMost: 64) { _ = closeIdleBackends(atMost: 64) }
                pauseAccepting(listener)
                return false
            case let error where SystemError.ofOneConnection.contains(error):
                // The client left before it was accepted (accept(2)); the next one may still be there.
                metrics.acceptFailed(AcceptError(errno: -fd))
            default:
                // Of the socket itself: asking again at once would never end.
                metrics.acceptFailed(AcceptError(errno: -fd))
                pauseAccepting(listener)
                return false
            }
        }
        return true
    }

    /// The listener rests after it, so that this is said ten times a second at most; the log makes one line of those.
    private func outOfDescriptors(_ listener: Int, _ error: AcceptError) {
        metrics.acceptFailed(error)
        control.broken(
            BrokenMessage(sender: .listener(listeners[listener].address.text), rule: error.name, bytes: nil, leftOut: 0))
    }

    private func admit(_ fd: Int32, _ peer: SocketAddress.Raw, _ listener: Int) {
        guard let listenerIndex = listeners[listener].index else { return calls.close(fd, 1) }
        let label = current.snapshot.listenerLabels[listenerIndex]
        let address = peer.family == 1 ? IPAddress(v4: 0) : IPAddress(high: peer.high, low: peer.low)
        let hasProxyHeader = listenerRules[listenerIndex].expectsProxyHeader
        if hasProxyHeader, peer.family != 1, !current.snapshot.listeners[listenerIndex].proxyPeers.contains(address) {
            return refuseProxyPeer(fd, address, label)
        }
        // Behind a balancer the client is not known yet.
        let isUncounted = hasProxyHeader || peer.family == 1
        let limit = isUncounted ? Int.max : listenerRules[listenerIndex].limits.connectionsPerClient
        switch limits.admit(address, perClient: limit) {
        case .admitted: break
        case .full:
            count(label, .overLimit)
            return calls.close(fd, 1)
        case .clientFull:
            count(label, .overClientLimit)
            return calls.close(fd, 1)
        }
        let (index, generation) = clients.allocate()
        let client = clients.pointer(index)
        client.pointee = ClientConnection()
        client.pointee.descriptor = fd
        client.pointee.listener = UInt16(listener)
        client.pointee.peer = address
        client.pointee.port = peer.port
        client.pointee.isUnix = peer.family == 1
        client.pointee.openedAt = now
        client.pointee.phase = hasProxyHeader ? .proxyHeader : firstPhase(listenerRules[listenerIndex])
        poller.addConnection(fd, Token(.client, index: index, generation: generation))
        listeners[listener].openClients += 1
        count(label, .accepted)
        client.pointee.label = label
        // Who connects and says nothing is given as long as a head may take.
        armClient(index, now + listenerRules[listenerIndex].limits.headerTimeout)
    }

    /// What a connection begins with, behind a PROXY header or without one.
    func firstPhase(_ rules: ListenerRules) -> ClientConnection.Phase { rules.tls == nil ? .head : .handshake }

    func count(_ label: Label, _ result: ConnectionResult) {
        if !isAdmin { metrics.connection(label, result) }
    }

    private func pauseAccepting(_ listener: Int) {
        guard !listeners[listener].isPaused else { return }
        listeners[listener].isPaused = true
        poller.remove(listeners[listener].socket.descriptor)
        _ = timers.schedule(Token(.listener, index: listener, generation: 0), at: now + Self.pause)
    }

    func resumeAccepting(listener: Int) {
        guard listener < listeners.count, listeners[listener].isPaused else { return }
        listeners[listener].isPaused = false
        guard listeners[listener].index != nil, case .serving = phase else { return }
        poller.addLevel(listeners[listener].socket.descriptor, Token(.listener, index: listener, generation: 0))
    }

    /// Closes connections that wait for a request, those that have waited longest first.
    /// - Returns: whether there was one.
    func closeIdleClients(atMost count: Int) -> Bool {
        var idle: [(since: Instant, index: Int)] = []
        for i in 0..<clients.capacity where clients.isTaken(i) {
            let client = clients.pointer(i)
            // On the admin listener also those that have never said anything: strangers must not be able to fill it up.
            if case .head = client.pointee.phase, client.pointee.requests > 0 || isAdmin, client.pointee.input.isEmpty,
                client.pointee.outgoing.isEmpty
            {
                idle.append((client.pointee.deadline.instant, i))
            } else if case .streams = client.pointee.phase, let streams = client.pointee.streams, streams.pointee.slots.isEmpty,
                client.pointee.outgoing.isEmpty
            {
                idle.append((client.pointee.deadline.instant, i))
            }
        }
        idle.sort { $0.since < $1.since }
        for (_, i) in idle.prefix(count) { closeClient(i) }
        return !idle.isEmpty
    }

    func closeIdleBackends(atMost count: Int) -> Bool {
        var closed = 0
        for case let pool? in pools {
            while closed < count, let oldest = pool.pointee.pool.takeOldestIdle() {
                closeBackend(Int(oldest))
                closed += 1
            }
        }
        return closed > 0
    }
}

import Downstream
import Exchange
import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Reactor
import Telemetry
import Upstream
import WebSocket

/// Requests that change the protocol of their connection (RFC 9110 §7.8): bytes go both ways until both sides have ended. Of a WebSocket
/// the frames are followed, so that it can be told in its own words that the gateway goes away; nothing in them is changed.
extension Worker {
    /// How long the two ends of a WebSocket may take to close it once they have been asked to.
    private static var closingTime: TimeAmount { .seconds(2) }

    // Before.

    /// What the route makes of a request's wish for another protocol.
    /// - Returns: what keeps it from being sent; nil for ordinary requests too.
    func judgeUpgrade(_ slot: Int, _ route: UnsafePointer<RouteRuntime>) -> UpgradeFault? {
        let exchange = exchanges.pointer(slot)
        guard let tunnels = route.pointee.tunnelsReference else {
            return exchange.pointee.head.version == .http2 ? .notListed : nil
        }
        return tunnels._withUnsafeGuaranteedRef { tunnels in
            switch UpgradeRequest.judge(exchange.pointee.head, tokens: tunnels.tokens) {
            case .ordinary: return nil
            case .refused(let fault): return fault
            case .webSocket(let key):
                exchange.pointee.upgrade = Upgrade(name: tunnels.webSocketIndex, key: key)
                exchange.pointee.isPlain = false
                return nil
            case .other(let token):
                exchange.pointee.upgrade = Upgrade(name: token, key: -1)
                exchange.pointee.isPlain = false
                return nil
            }
        }
    }

    /// Whether a page of that origin may open a WebSocket here.
    func admitsOrigin(_ slot: Int, _ route: UnsafePointer<RouteRuntime>) -> Bool {
        let exchange = exchanges.pointer(slot)
        guard let upgrade = exchange.pointee.upgrade, upgrade.isWebSocket, let tunnels = route.pointee.tunnelsReference else {
            return true
        }
        return tunnels._withUnsafeGuaranteedRef { tunnels in
            tunnels.origins.admits(exchange.pointee.head, scheme: exchange.pointee.context.clientScheme)
        }
    }

    /// `Connection` and `Upgrade` of the request, behind the other fields.
    func appendUpgrade(_ slot: Int, to out: inout ByteBuffer) {
        let exchange = exchanges.pointer(slot)
        guard let upgrade = exchange.pointee.upgrade, let route = exchange.pointee.route,
            let tunnels = route.pointee.tunnelsReference
        else { return }
        out.append("Connection: Upgrade\r\nUpgrade: ")
        tunnels._withUnsafeGuaranteedRef { if let name = $0.tokens.name(upgrade.name) { out.append(name) } }
        out.append("\r\n")
    }

    /// Whether the backend's 101 answers the request.
    func acceptsUpgrade(_ slot: Int) -> UpgradeResponseFault? {
        let exchange = exchanges.pointer(slot)
        guard let upgrade = exchange.pointee.upgrade, let route = exchange.pointee.route,
            let tunnels = route.pointee.tunnelsReference
        else { return .status }
        if upgrade.isWebSocket {
            return UpgradeResponse.judgeWebSocket(
                response, key: exchange.pointee.head.headers.value(upgrade.key), request: exchange.pointee.head.headers)
        }
        return tunnels._withUnsafeGuaranteedRef { tunnels in
            guard let name = tunnels.tokens.name(upgrade.name) else { return .status }
            return UpgradeResponse.judge(response, token: name.span.bytes)
        }
    }

    /// What is wrong with a final answer to a handshake that no 101 has answered; nil where it may be passed on.
    func tunnelFault(_ slot: Int) -> StaticString? {
        let exchange = exchanges.pointer(slot)
        guard response.status != 101 else { return nil }
        if exchange.pointee.sharesBackend, response.status == 200 {
            return UpgradeResponse.judgeOffers(in: response.headers, request: exchange.pointee.head.headers)?.name
        }
        // On a stream every 2xx would say that the tunnel is open.
        return exchange.pointee.clientStream != nil && response.status / 100 == 2 ? "success without a tunnel" : nil
    }

    /// The head of the answer, as the client's version of HTTP has it: a stream that has become a tunnel says 200 (RFC 8441 §5), a connection
    /// says 101 and answers its own key.
    func prepareTunnelHead(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard let upgrade = exchange.pointee.upgrade else { return }
        if exchange.pointee.clientStream != nil {
            response.status = 200
            response.headers.removeAll(lowercaseNamed: "sec-websocket-accept")
        } else if exchange.pointee.sharesBackend {
            response.status = 101
            guard upgrade.isWebSocket else { return }
            var accept = ByteBuffer(capacity: 32)
            guard HandshakeKey.appendAccept(for: exchange.pointee.head.headers.value(upgrade.key), to: &accept) else { return }
            response.headers.removeAll(lowercaseNamed: "sec-websocket-accept")
            response.headers.add(named: "Sec-WebSocket-Accept", value: accept.bytes)
        }
        response.reason = 0..<0
    }

    // Beginning.

    /// The client has its 101 (or 200 on a stream). From here on bytes are bytes.
    /// - Parameter rest: what the backend has sent behind its head.
    func beginTunnel(_ slot: Int, _ rest: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        guard let upgrade = exchange.pointee.upgrade, let route = exchange.pointee.route else { return }
        exchange.pointee.step = .tunnelled
        exchange.pointee.machine.tunnelBegan()
        exchange.pointee.reason = .tunnel
        excuseBackend(slot)
        excuseClient(slot)
        exchange.pointee.clientDeadline = .never
        exchange.pointee.requestDeadline = .never
        let hasExtensions = response.headers.firstIndex(named: "sec-websocket-extensions") != nil
        let tunnel = UnsafeMutablePointer<Tunnel>.allocate(capacity: 1)
        tunnel.initialize(
            to: Tunnel(
                idleTimeout: route.pointee.tunnelsReference?._withUnsafeGuaranteedRef { $0.idleTimeout } ?? .seconds(3600),
                isWebSocket: upgrade.isWebSocket, hasExtensions: hasExtensions))
        exchange.pointee.tunnel = tunnel
        touchTunnel(slot)
        if !isAdmin { metrics.tunnelBegan(routeLabel(slot)) }
        let token = exchange.pointee.context.exchangeToken
        if rest.count > 0 { passDown(slot, rest) }
        guard isTunnel(token) else { return }
        continueUpload(slot)
        guard isTunnel(token) else { return }
        continueDownload(slot)
        guard isTunnel(token) else { return }
        if case .draining = phase { closeTunnel(slot) }
    }

    private func isTunnel(_ raw: UInt64) -> Bool {
        let token = Token(raw: raw)
        guard exchanges.isLive(token), case .tunnelled = exchanges.pointer(token.index).pointee.step else { return false }
        return true
    }

    private func touchTunnel(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard let tunnel = exchange.pointee.tunnel, !tunnel.pointee.isClosing else { return }
        exchange.pointee.waitDeadline = now + tunnel.pointee.idleTimeout
        armExchange(slot)
    }

    // Bytes.

    /// From the client to the backend, as far as the backend takes them.
    func continueUpload(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let token = exchange.pointee.context.exchangeToken
        if exchange.pointee.clientStream != nil {
            while isTunnel(token), backendTakes(slot), !exchange.pointee.streamInput.isEmpty {
                var input = exchange.pointee.streamInput
                exchange.pointee.streamInput = Incoming()
                passUp(slot, input.bytes)
                if isTunnel(token) { returnWindow(slot, input.count) }
                input.discard()
            }
            guard isTunnel(token) else { return }
            if exchange.pointee.streamHasEnded, exchange.pointee.streamInput.isEmpty { clientHasEnded(slot) }
            return
        }
        let index = Int(exchange.pointee.client)
        let client = clients.pointer(index)
        var reads = 0
        while isTunnel(token), backendTakes(slot) {
            if !client.pointee.input.isEmpty {
                var input = client.pointee.input
                client.pointee.input = Incoming()
                passUp(slot, input.bytes)
                input.discard()
                continue
            }
            guard client.pointee.isReadable else { return }
            guard reads < Self.readsPerTurn else { return deferClient(index) }
            reads += 1
            switch receive(fromClient: index) {
            case .nothingYet: return
            case .end: return clientHasEnded(slot)
            case .bytes(let bytes): passUp(slot, bytes)
            }
        }
    }

    /// From the backend to the client, as far as the client takes them.
    func continueDownload(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let token = exchange.pointee.context.exchangeToken
        if exchange.pointee.sharesBackend {
            while isTunnel(token), clientTakes(slot), !exchange.pointee.backendInput.isEmpty {
                var input = exchange.pointee.backendInput
                exchange.pointee.backendInput = Incoming()
                passDown(slot, input.bytes)
                if isTunnel(token) { returnBackendWindow(slot, input.count) }
                input.discard()
            }
            guard isTunnel(token) else { return }
            if exchange.pointee.backendHasEnded, exchange.pointee.backendInput.isEmpty { backendHasEnded(slot, wasReset: false) }
            return
        }
        let index = Int(exchange.pointee.backend)
        let backend = backends.pointer(index)
        var reads = 0
        while isTunnel(token), clientTakes(slot), backend.pointee.isReadable {
            guard reads < Self.readsPerTurn else { return deferBackend(index) }
            reads += 1
            let n = receive(backend)
            if n == -SystemError.again { return }
            guard n > 0 else { return backendHasEnded(slot, wasReset: n < 0) }
            passDown(slot, UnsafeRawBufferPointer(start: receiveBuffer.baseAddress, count: n))
        }
    }

    func passUp(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        guard let tunnel = exchange.pointee.tunnel else { return }
        exchange.pointee.requestBytes += UInt64(bytes.count)
        tunnel.pointee.up(RawSpan(_unsafeBytes: bytes))
        touchTunnel(slot)
        if !tunnel.pointee.hasSaidCloseUp {
            if case .failed = writeToBackend(slot, bytes) { return backendHasEnded(slot, wasReset: true) }
        }
        if tunnel.pointee.isClosing { continueClosing(slot) }
    }

    func passDown(_ slot: Int, _ bytes: UnsafeRawBufferPointer) {
        let exchange = exchanges.pointer(slot)
        guard let tunnel = exchange.pointee.tunnel else { return }
        exchange.pointee.responseBytes += UInt64(bytes.count)
        tunnel.pointee.down(RawSpan(_unsafeBytes: bytes))
        touchTunnel(slot)
        if !tunnel.pointee.hasSaidCloseDown {
            if case .failed = writeToClient(slot, bytes) { return abandonExchange(slot, .clientClosed) }
        }
        if tunnel.pointee.isClosing { continueClosing(slot) }
    }

    // The end.

    /// The client will send no more; what is on its way back still arrives.
    func clientHasEnded(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard let tunnel = exchange.pointee.tunnel, !tunnel.pointee.clientHasEnded else { return }
        exchange.pointee.tunnel?.pointee.clientHasEnded = true
        if tunnel.pointee.backendHasEnded { return endTunnel(slot) }
        shutdownBackend(slot)
    }

    func backendHasEnded(_ slot: Int, wasReset: Bool) {
        let exchange = exchanges.pointer(slot)
        guard let tunnel = exchange.pointee.tunnel, !tunnel.pointee.backendHasEnded else { return }
        exchange.pointee.tunnel?.pointee.backendHasEnded = true
        if wasReset { return abandonExchange(slot, .upstreamReset) }
        // Who has said Close has nothing to wait for, and who is deaf hears nothing of the client.
        if tunnel.pointee.clientHasEnded || tunnel.pointee.isOver || isBackendDeaf(slot) { return endTunnel(slot) }
        shutdownClient(slot)
    }

    /// The backend has broken off, which is not read before what came ahead of it; a client that reads nothing of that is not waited for
    /// any longer than others.
    func tunnelBroken(_ slot: Int) {
        guard slot >= 0, case .tunnelled = exchanges.pointer(slot).pointee.step, !clientTakes(slot) else { return }
        let exchange = exchanges.pointer(slot)
        let limit = listenerLimits(Int(exchange.pointee.client)).writeTimeout
        exchange.pointee.waitDeadline = min(exchange.pointee.waitDeadline, now + limit)
        armExchange(slot)
    }

    private func shutdownBackend(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard !exchange.pointee.sharesBackend else { return endBackendStream(slot) }
        let backend = backends.pointer(Int(exchange.pointee.backend))
        sayFarewell(backend)
        // What waits goes out first; see `tunnelFlushed`.
        if backend.pointee.outgoing.isEmpty { _ = calls.shutdownWrite(backend.pointee.descriptor) }
    }

    private func shutdownClient(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.clientStream == nil else { return endClientStream(slot) }
        let client = clients.pointer(Int(exchange.pointee.client))
        sayFarewell(client)
        if client.pointee.outgoing.isEmpty { _ = calls.shutdownWrite(client.pointee.descriptor) }
    }

    /// The backend has taken all that waited for it.
    func tunnelFlushed(toBackend slot: Int) {
        let exchange = exchanges.pointer(slot)
        if !exchange.pointee.sharesBackend, let tunnel = exchange.pointee.tunnel, tunnel.pointee.clientHasEnded {
            _ = calls.shutdownWrite(backends.pointer(Int(exchange.pointee.backend)).pointee.descriptor)
            return
        }
        continueUpload(slot)
    }

    /// The client has taken all that waited for it.
    func tunnelFlushed(toClient slot: Int) {
        let exchange = exchanges.pointer(slot)
        if exchange.pointee.clientStream == nil, let tunnel = exchange.pointee.tunnel, tunnel.pointee.backendHasEnded {
            _ = calls.shutdownWrite(clients.pointer(Int(exchange.pointee.client)).pointee.descriptor)
            return
        }
        continueDownload(slot)
    }

    private func endTunnel(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        let hasBackendEnded = exchange.pointee.tunnel?.pointee.backendHasEnded ?? false
        if exchange.pointee.clientStream != nil { endClientStream(slot) }
        var ending = exchange.pointee.machine.tunnelEnded()
        // A stream that has ended both ways is not cancelled: the last of it may still have to be sent.
        ending.keepsBackend = exchange.pointee.sharesBackend && hasBackendEnded
        finish(slot, ending)
    }

    /// The backend's stream is closed, or was reset.
    func tunnelStreamGone(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard exchange.pointee.backendHasEnded else { return abandonExchange(slot, .upstreamReset) }
        // All of it has come, and nobody takes what the client still sends.
        if exchange.pointee.tunnel?.pointee.backendHasEnded ?? false { endTunnel(slot) }
    }

    /// Nothing has passed for too long, or its end was asked for and did not come.
    func tunnelTimedOut(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard let tunnel = exchange.pointee.tunnel, tunnel.pointee.isClosing else { return closeTunnel(slot) }
        // Who takes what was said to it gets an end in order.
        if clientTakes(slot) { endTunnel(slot) } else { abandonExchange(slot, exchange.pointee.reason) }
    }

    /// Asks both ends to close: a WebSocket with its own words (RFC 6455 §7.4.1, 1001), anything else by cutting it off.
    func closeTunnel(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard let tunnel = exchange.pointee.tunnel, !tunnel.pointee.isClosing else { return }
        guard tunnel.pointee.isWebSocket else { return abandonExchange(slot, .tunnel) }
        exchange.pointee.tunnel?.pointee.isClosing = true
        exchange.pointee.waitDeadline = now + Self.closingTime
        armExchange(slot)
        continueClosing(slot)
    }

    /// Says Close to whom it can be said: it cannot be put into the middle of a frame. Once both ends have said it too, the tunnel is over.
    private func continueClosing(_ slot: Int) {
        let exchange = exchanges.pointer(slot)
        guard let tunnel = exchange.pointee.tunnel else { return }
        guard !tunnel.pointee.isOver else { return endTunnel(slot) }
        let token = exchange.pointee.context.exchangeToken
        if tunnel.pointee.mayCloseDown {
            tunnel.pointee.hasSaidCloseDown = true
            out.clear()
            CloseFrame.append(.goingAway, to: &out)
            _ = writeToClient(slot, out.unsafeBytes)
        }
        guard isTunnel(token) else { return }
        if tunnel.pointee.mayCloseUp {
            tunnel.pointee.hasSaidCloseUp = true
            out.clear()
            CloseFrame.append(.goingAway, maskKey: UInt32(truncatingIfNeeded: random.next()), to: &out)
            _ = writeToBackend(slot, out.unsafeBytes)
        }
        out.clear()
    }

    /// The tunnel is gone: its bytes have been counted as they passed, and its messages are now.
    func forgetTunnel(_ slot: Int, _ tunnel: UnsafeMutablePointer<Tunnel>) {
        exchanges.pointer(slot).pointee.tunnel = nil
        defer { tunnel.deallocate() }
        guard !isAdmin else { return }
        let label = routeLabel(slot)
        metrics.tunnelEnded(label)
        if tunnel.pointee.isWebSocket {
            metrics.tunnelMessages(label, in: tunnel.pointee.messages.up, out: tunnel.pointee.messages.down)
        }
    }

    /// Of a process that ends: no tunnel is as short as its patience.
    func closeTunnels() {
        for slot in 0..<exchanges.capacity where exchanges.isTaken(slot) {
            if case .tunnelled = exchanges.pointer(slot).pointee.step { closeTunnel(slot) }
        }
    }

    func routeLabel(_ slot: Int) -> Label {
        let exchange = exchanges.pointer(slot)
        let route = exchange.pointee.context.routeIndex
        guard route >= 0 else { return .none }
        return exchange.pointee.generation._withUnsafeGuaranteedRef { $0.snapshot.routeLabels[route] }
    }
}

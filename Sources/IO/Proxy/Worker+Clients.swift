import Configuration
import Downstream
import HTTP1
import HTTPMessages
import Primitives
import Reactor

/// Bytes from clients: heads are parsed here, bodies go to +Forwarding, and what comes after the last answer is thrown away.
extension Worker {
    /// Lingering ends after this many bytes or this long, whichever is first (nginx: 5 s between reads).
    private static var lingerBytes: Int32 { 65_536 }
    private static var lingerTime: TimeAmount { .seconds(5) }
    /// The process is to end; a client that has its answer need not close for that.
    private static var lingerTimeOfDrain: TimeAmount { .milliseconds(500) }

    @inline(__always)
    func clientEvent(_ token: Token, _ flags: UInt32) {
        guard clients.isLive(token) else { return }
        let index = token.index
        let client = clients.pointer(index)
        if flags & (PollEvents.error | PollEvents.hangup) != 0 {
            // Both halves are shut in order: what the client still sent is read, or closing would reset the answer on its way.
            // So is the end of a tunnel whose backend had ended before.
            guard flags & PollEvents.error == 0, isLastWord(index) else { return clientGone(index) }
        }
        if flags & (PollEvents.in | PollEvents.readHangup) != 0 { client.pointee.isReadable = true }
        if flags & PollEvents.readHangup != 0 { client.pointee.isHalfClosed = true }
        if flags & PollEvents.out != 0, !client.pointee.outgoing.isEmpty {
            clientWritable(index)
            guard clients.isLive(token) else { return }
        }
        if flags & (PollEvents.in | PollEvents.readHangup) != 0 { clientReadable(index) }
    }

    /// What a client sends that gets no more itself is waited for.
    private func isLastWord(_ index: Int) -> Bool {
        let client = clients.pointer(index)
        switch client.pointee.phase {
        case .lingering: return true
        case .exchange:
            guard case .tunnelled = exchanges.pointer(Int(client.pointee.exchange)).pointee.step else { return false }
            return true
        case .head, .proxyHeader, .handshake, .streams: return false
        }
    }

    /// Reads as far as the connection's phase allows.
    func clientReadable(_ index: Int) {
        let client = clients.pointer(index)
        switch client.pointee.phase {
        case .head: readHead(index)
        case .exchange: continueExchange(Int(client.pointee.exchange))
        case .lingering: readLingering(index)
        case .proxyHeader: readProxyHeader(index)
        case .handshake: readHandshake(index)
        case .streams: readStreams(index)
        }
    }

    enum Received {
        case bytes(UnsafeRawBufferPointer)
        case nothingYet
        /// The client has closed, or broken off.
        case end
    }

    /// Takes what is there into the worker's buffer.
    @inline(__always)
    func receive(fromClient index: Int) -> Received {
        let n = receive(clients.pointer(index))
        if n == -SystemError.again { return .nothingYet }
        if n <= 0 { return .end }
        return .bytes(UnsafeRawBufferPointer(start: receiveBuffer.baseAddress, count: n))
    }

    private func continueExchange(_ slot: Int) {
        switch exchanges.pointer(slot).pointee.step {
        case .collecting: continueCollecting(slot)
        case .tunnelled: continueUpload(slot)
        case .idle, .requestSuspended, .queued, .connecting, .backingOff, .forwarded, .responseSuspended, .answered:
            continueForwarding(slot)
        }
    }

    private func readHead(_ index: Int) {
        let client = clients.pointer(index)
        // The last answer goes out before the next request is looked at, or a client that never reads would fill the memory.
        guard client.pointee.outgoing.isEmpty else { return }
        let token = Token(.client, index: index, generation: clients.generation(index))
        if !client.pointee.input.isEmpty, client.pointee.hasUnparsedInput {
            client.pointee.hasUnparsedInput = false
            parseHead(index, client.pointee.input.bytes)
        }
        var reads = 0
        // A request may have been answered in the loop: one that waits behind it, or an answer that does, comes first.
        while clients.isLive(token), case .head = client.pointee.phase, client.pointee.isReadable,
            !client.pointee.hasUnparsedInput,
            client.pointee.outgoing.isEmpty
        {
            guard reads < Self.readsPerTurn else { return deferClient(index) }
            reads += 1
            let n = receive(client)
            if n <= 0 {
                client.pointee.isReadable = false
                // A head that its client broke off needs no answer.
                if n != -SystemError.again { closeClient(index) }
                return
            }
            let bytes = UnsafeRawBufferPointer(start: receiveBuffer.baseAddress, count: n)
            if client.pointee.requests == 0, mayBeHTTP2(index), beginsStreams(index, bytes) { return }
            if client.pointee.input.isEmpty {
                parseHead(index, bytes)
            } else {
                let seen = client.pointee.input.count
                client.pointee.input.append(bytes)
                let all = client.pointee.input.bytes
                if RequestParser.worthParsing(RawSpan(_unsafeBytes: all), alreadySeen: seen) { parseHead(index, all) }
            }
        }
    }

    private func mayBeHTTP2(_ index: Int) -> Bool {
        rules(of: index).takesPlainHTTP2 && clients.pointer(index).pointee.tls == nil
    }

    /// Whether a client knows beforehand that HTTP/2 is spoken here, and speaks it (RFC 9113 §3.3). `PRI` is no method, so that three bytes
    /// tell; a preface that comes in smaller pieces is put together first.
    /// - Returns: true when the bytes were dealt with.
    private func beginsStreams(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let client = clients.pointer(index)
        let rules = rules(of: index)
        let held = client.pointee.input.count
        if held == 0, bytes.count >= 3 || !rules.takesHTTP1 {
            guard !rules.takesHTTP1 || bytes[0] == 0x50 && bytes[1] == 0x52 && bytes[2] == 0x49 else { return false }
            beginStreams(index, bytes)
            return true
        }
        guard held < 3 else { return false }
        client.pointee.input.append(bytes)
        let all = client.pointee.input.bytes
        guard all.count >= 3 else {
            if client.pointee.headStarted == .never { client.pointee.headStarted = now }
            return true
        }
        var received = client.pointee.input
        client.pointee.input = Incoming()
        defer { received.discard() }
        if all[0] == 0x50, all[1] == 0x52, all[2] == 0x49 { beginStreams(index, all) } else { parseHead(index, all) }
        return true
    }

    /// - Parameter bytes: all that has been received of this request: the receive buffer, or the connection's `input`.
    private func parseHead(_ index: Int, _ bytes: UnsafeRawBufferPointer) {
        let client = clients.pointer(index)
        let isInput = !client.pointee.input.isEmpty
        let (slot, generation) = exchanges.allocate()
        let exchange = exchanges.pointer(slot)
        let listenerIndex = listenerIndex(of: index)
        let outcome = RequestParser.parse(
            RawSpan(_unsafeBytes: bytes), limits: listenerRules[listenerIndex].parser,
            into: &exchange.pointee.head)
        switch outcome {
        case .needMore:
            exchange.pointee.head.clear()
            exchanges.free(slot)
            if !isInput { client.pointee.input.append(bytes) }
            if client.pointee.headStarted == .never {
                client.pointee.headStarted = now
                // Absolute: from the first byte, however many come (slowloris).
                armClient(index, now + listenerRules[listenerIndex].limits.headerTimeout)
            }
        case .head(let consumed):
            begin(slot, generation, for: index)
            if client.pointee.headStarted != .never { exchange.pointee.started = client.pointee.headStarted }
            exchange.pointee.headBytes = consumed
            client.pointee.headStarted = .never
            client.pointee.deadline.clear()
            if isInput {
                client.pointee.input.removeFirst(consumed)
                startExchange(slot, rest: .empty)
            } else {
                startExchange(slot, rest: UnsafeRawBufferPointer(rebasing: bytes[consumed...]))
            }
        case .refused(let fault):
            begin(slot, generation, for: index)
            client.pointee.deadline.clear()
            exchanges.pointer(slot).pointee.headBytes = bytes.count
            let received = client.pointee.input
            client.pointee.input = Incoming()
            refuseHead(slot, fault, bytes)
            received.free()
        }
    }

    private func begin(_ slot: Int, _ generation: UInt32, for index: Int) {
        let client = clients.pointer(index)
        client.pointee.phase = .exchange
        client.pointee.exchange = Int32(slot)
        prepare(slot, generation, for: index)
    }

    /// Gives a record to a request of this client.
    @inline(__always)
    func prepare(_ slot: Int, _ generation: UInt32, for index: Int) {
        let client = clients.pointer(index)
        let exchange = exchanges.pointer(slot)
        client.pointee.requests &+= 1
        exchange.pointee.client = Int32(index)
        exchange.pointee.started = now
        if exchange.pointee.generationNumber != currentNumber {
            exchange.pointee.generationNumber = currentNumber
            exchange.pointee.generation = Unmanaged.passUnretained(current)
            exchange.pointee.context.names = current.snapshot.names
        }
        current.inFlight += 1
        exchange.pointee.listener = Int32(listenerIndex(of: index))
        exchange.pointee.context.peerAddress = client.pointee.peer
        exchange.pointee.context.peerPort = client.pointee.port
        exchange.pointee.context.peerIsUnixSocket = client.pointee.isUnix
        exchange.pointee.context.listenerIndex = Int(exchange.pointee.listener)
        exchange.pointee.context.scheme = client.pointee.tls == nil ? .http : .https
        exchange.pointee.context.clientCertificate = client.pointee.certificate
        exchange.pointee.context.begin(
            at: now, unixNanoseconds: wallClock, seed: random.next(),
            bodyLimit: UInt64(clamping: listenerRules[Int(exchange.pointee.listener)].limits.requestBodyBytes),
            exchangeToken: Token(.exchange, index: slot, generation: generation).raw)
    }

    /// The client's socket takes bytes again.
    func clientWritable(_ index: Int) {
        let client = clients.pointer(index)
        switch client.pointee.outgoing.flush(client.pointee.descriptor, calls) {
        case .blocked:
            armClient(index, now + listenerLimits(index).writeTimeout)
        case .failed:
            clientGone(index)
        case .all:
            client.pointee.deadline.clear()
            switch client.pointee.phase {
            case .head, .proxyHeader:
                armIdleClient(index)
                deferClient(index)
            case .exchange: clientDrained(Int(client.pointee.exchange))
            case .handshake: deferClient(index)
            case .streams:
                writeFrames(index)
                if clients.isTaken(index), client.pointee.isReadable { deferClient(index) }
            case .lingering: startLingering(index)
            }
        }
    }

    /// The last answer has been handed over. Closing now could reset the connection under it: the client gets FIN, and what it still sends is read
    /// and dropped until it closes too (RFC 9112 §9.6).
    /// - Parameter isLast: the client has said that nothing will come, so there is nothing to wait for.
    func linger(_ index: Int, isLast: Bool = false) {
        let client = clients.pointer(index)
        client.pointee.closesAtOnce = isLast && client.pointee.input.isEmpty
        client.pointee.phase = .lingering
        client.pointee.exchange = -1
        client.pointee.input.discard()
        sayFarewell(client)
        if client.pointee.outgoing.isEmpty { startLingering(index) }
    }

    private func startLingering(_ index: Int) {
        let client = clients.pointer(index)
        if client.pointee.closesAtOnce || client.pointee.isHalfClosed && !client.pointee.isReadable { return closeClient(index) }
        _ = calls.shutdownWrite(client.pointee.descriptor)
        client.pointee.lingered = 0
        armClient(index, now + (phase == .serving ? Self.lingerTime : Self.lingerTimeOfDrain))
        client.pointee.isReadable = true
        readLingering(index)
    }

    private func readLingering(_ index: Int) {
        let client = clients.pointer(index)
        guard client.pointee.outgoing.isEmpty else { return }
        while client.pointee.isReadable {
            let n = calls.receive(client.pointee.descriptor, receiveBuffer.baseAddress, Self.receiveBytes)
            if n == -SystemError.again {
                client.pointee.isReadable = false
                return
            }
            client.pointee.lingered += Int32(clamping: max(0, n))
            if n <= 0 || client.pointee.lingered > Self.lingerBytes { return closeClient(index) }
        }
    }

    /// The client has reset its connection or closed both halves.
    func clientGone(_ index: Int) {
        let client = clients.pointer(index)
        if client.pointee.exchange >= 0 {
            abandonExchange(Int(client.pointee.exchange), .clientClosed)
        } else if case .handshake = client.pointee.phase {
            handshakeFailed(index, .closed)
        } else {
            abandonAll(index, .clientClosed)
            closeClient(index)
        }
    }

    func clientTimerFired(_ token: Token) {
        guard clients.isLive(token) else { return }
        let client = clients.pointer(token.index)
        guard client.pointee.deadline.fired(at: now, token, on: &timers) else { return }
        switch client.pointee.phase {
        case .lingering: closeClient(token.index, reset: !client.pointee.outgoing.isEmpty)
        case .proxyHeader: proxyHeaderTimedOut(token.index)
        case .handshake: handshakeTimedOut(token.index)
        case .streams: streamsTimerFired(token.index)
        case .head:
            if client.pointee.input.isEmpty || !client.pointee.outgoing.isEmpty {
                closeClient(token.index, reset: !client.pointee.outgoing.isEmpty)
            } else {
                headTimedOut(token.index)
            }
        case .exchange:
            clientStalled(Int(client.pointee.exchange))
        }
    }

    /// A head was begun and not finished in time.
    private func headTimedOut(_ index: Int) {
        let (slot, generation) = exchanges.allocate()
        let client = clients.pointer(index)
        begin(slot, generation, for: index)
        exchanges.pointer(slot).pointee.started = client.pointee.headStarted
        client.pointee.headStarted = .never
        client.pointee.deadline.clear()
        client.pointee.input.discard()
        endUnknown(slot)
        refuse(slot, .headTimeout)
    }

    /// Waits for the next request; not for long where there is to be none.
    @inline(__always)
    func armIdleClient(_ index: Int) {
        if case .serving = phase {
            armClient(index, now + listenerLimits(index).keepaliveTimeout)
        } else {
            armClient(index, now + .seconds(1))
        }
    }

    @inline(__always)
    func armClient(_ index: Int, _ deadline: Instant) {
        clients.pointer(index).pointee.deadline.set(
            deadline, Token(.client, index: index, generation: clients.generation(index)), on: &timers)
    }

    func closeClient(_ index: Int, reset: Bool = false) {
        let client = clients.pointer(index)
        precondition(client.pointee.exchange < 0, "a connection is closed under its exchange")
        client.pointee.deadline.cancel(on: &timers)
        if !reset, client.pointee.phase != .lingering { sayFarewell(client) }
        if let tls = client.pointee.tls { tls.free() }
        client.pointee.tls = nil
        client.pointee.certificate?.release()
        client.pointee.certificate = nil
        if let streams = client.pointee.streams {
            precondition(streams.pointee.slots.isEmpty, "a connection is closed under its streams")
            streams.free()
        }
        client.pointee.streams = nil
        client.pointee.input.discard()
        client.pointee.outgoing.discard()
        calls.close(client.pointee.descriptor, reset ? 1 : 0)
        let listener = Int(client.pointee.listener)
        listeners[listener].openClients -= 1
        if !isAdmin { metrics.connectionClosed(client.pointee.label) }
        limits.release(client.pointee.peer)
        client.pointee.descriptor = -1
        clients.free(index)
    }

    @inline(__always)
    func listenerLimits(_ client: Int) -> LimitsConfiguration {
        rules(of: client).limits
    }

    /// What the listener says that the client has come by.
    @inline(__always)
    func rules(of client: Int) -> ListenerRules { listenerRules[listenerIndex(of: client)] }

    /// The listener's place in the present configuration.
    @inline(__always)
    private func listenerIndex(of client: Int) -> Int { listeners[Int(clients.pointer(client).pointee.listener)].index ?? 0 }
}

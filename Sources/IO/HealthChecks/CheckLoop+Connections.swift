import Health
import Primitives
import Reactor

/// Bytes to and from instances.
extension CheckLoop {
    func connectionEvent(_ token: Token, _ flags: UInt32) {
        guard connections.isLive(token) else { return }
        let index = token.index
        let isOver = flags & (PollEvents.error | PollEvents.hangup | PollEvents.readHangup) != 0
        let isReadable = flags & PollEvents.in != 0 || isOver
        let isWritable = flags & PollEvents.out != 0
        switch connections.pointer(index).pointee.phase {
        case .connecting:
            if isWritable || isOver { connected(index, isReadable: isReadable) }
        case .handshaking:
            if isWritable { flush(index) }
            if isReadable, connections.isLive(token) { continueHandshake(index) }
        case .asking, .draining:
            if isWritable { flush(index) }
            if isReadable, connections.isLive(token) { read(index) }
        case .idle:
            if isWritable { flush(index) }
            if isReadable, connections.isLive(token) { readIdle(index) }
        }
    }

    /// The connection stands, or it does not.
    private func connected(_ index: Int, isReadable: Bool) {
        let connection = connections.pointer(index)
        guard let instance = instances[connection.pointee.instance], let plan = instance.checking?.plan else {
            return close(index)
        }
        guard calls.socketError(connection.pointee.descriptor) == 0 else {
            close(index)
            instance.address += 1
            return connect(instance)
        }
        switch plan.question {
        case .connect, .unwritable:
            close(index)
            ended(instance, CheckJudge.connected)
        case .ask, .call:
            if let client = plan.dialect.tls { return startHandshake(index, plan, client, isReadable: isReadable) }
            stands(index, instance, plan, early: .empty, isReadable: isReadable)
        }
    }

    /// The kernel takes bytes again.
    private func flush(_ index: Int) {
        let connection = connections.pointer(index)
        switch connection.pointee.outgoing.flush(connection.pointee.descriptor, calls) {
        case .all:
            guard let stream = connection.pointee.stream, frame(index) else { return }
            settle(index, stream.progress)
        case .blocked: break
        case .failed: lost(index)
        }
    }

    private func read(_ index: Int) {
        if connections.pointer(index).pointee.stream == nil { readResponse(index) } else { readStream(index) }
    }

    /// Nothing was asked: over HTTP/1.1 any byte ends the connection.
    func readIdle(_ index: Int) {
        let connection = connections.pointer(index)
        guard connection.pointee.stream == nil else { return readStream(index) }
        if receive(connection) != -SystemError.again { close(index) }
    }

    /// Reads what has come. That is bounded by what one response may be.
    private func readResponse(_ index: Int) {
        let connection = connections.pointer(index)
        var progress = CheckResponse.Progress.more
        while true {
            let n = receive(connection)
            if n == -SystemError.again { break }
            switch progress {
            case .more where n == 0: return closed(index)
            case .more where n < 0: return lost(index)
            // Behind a complete response: bytes that nobody asked for, or the end.
            case .more, .complete, .spent: break
            }
            guard progress == .more else {
                progress = .spent
                break
            }
            progress = connection.pointee.response.received(UnsafeRawBufferPointer(rebasing: receiveBuffer[..<n]), scratch: &head)
            if progress == .spent { break }
        }
        settle(index, progress)
    }

    /// What becomes of a connection after some of the response, and of its check once there is a verdict.
    func settle(_ index: Int, _ progress: CheckResponse.Progress) {
        let connection = connections.pointer(index)
        guard let instance = instances[connection.pointee.instance] else { return close(index) }
        guard let verdict = connection.pointee.verdict else {
            if progress == .spent { lost(index) }
            return
        }
        let isFresh: Bool
        let isGood: Bool
        switch connection.pointee.phase {
        case .asking:
            isFresh = true
            // After a failure the next check begins anew, perhaps at another address.
            isGood = verdict == .passed && connection.pointee.outgoing.isEmpty
        case .connecting, .handshaking, .draining: (isFresh, isGood) = (false, true)
        case .idle:
            if progress == .spent { close(index) }
            return
        }
        switch progress {
        case .complete where isGood && keptCount < Self.keptMax:
            connection.pointee.phase = .idle
            keptCount += 1
        case .more where isGood: connection.pointee.phase = .draining
        case .more, .complete, .spent: close(index)
        }
        if isFresh { ended(instance, verdict) }
    }

    /// The instance has closed its side.
    private func closed(_ index: Int) { finish(index) { $0.stream?.gaveUp(.malformed) ?? $0.response.inputClosed() } }

    /// The connection is gone, or of no use.
    func lost(_ index: Int) {
        if case .handshaking = connections.pointer(index).pointee.phase { return handshakeFailed(index) }
        finish(index) { $0.stream?.gaveUp($0.faultOfEnd) ?? $0.response.gaveUp($0.faultOfEnd) }
    }

    /// A kept connection that turns out to be closed before it brought a byte says nothing about the instance: many close
    /// idle ones after a while. The check goes on over a new one.
    private func finish(_ index: Int, _ end: (inout CheckConnection) -> CheckJudge.Verdict) {
        let connection = connections.pointer(index)
        let instance = instances[connection.pointee.instance]
        guard case .asking = connection.pointee.phase, let instance else { return close(index) }
        if connection.pointee.isReused, !connection.pointee.hasBegun {
            close(index)
            return connect(instance)
        }
        let verdict = end(&connection.pointee)
        close(index)
        ended(instance, verdict)
    }

    func close(_ index: Int) {
        let connection = connections.pointer(index)
        if case .idle = connection.pointee.phase { keptCount -= 1 }
        instances[connection.pointee.instance]?.connection = -1
        sayFarewell(connection)
        calls.close(connection.pointee.descriptor, 0)
        connection.pointee.response.discard()
        connection.pointee = CheckConnection()
        connections.free(index)
    }
}

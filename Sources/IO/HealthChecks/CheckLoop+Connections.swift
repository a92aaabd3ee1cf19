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
        switch connections.pointer(index).pointee.phase {
        case .connecting:
            if flags & PollEvents.out != 0 || isOver { connected(index, isReadable: isReadable) }
        case .asking:
            if flags & PollEvents.out != 0 { send(index) }
            if isReadable, connections.isLive(token) { read(index) }
        case .draining:
            if isReadable { read(index) }
        case .idle:
            if isReadable { close(index) }
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
        guard case .ask = plan.question else {
            close(index)
            return ended(instance, CheckJudge.connected)
        }
        connection.pointee.phase = .asking(sent: 0)
        if isReadable {
            let n = calls.receive(connection.pointee.descriptor, receiveBuffer.baseAddress, receiveBuffer.count)
            // What comes before the question is no answer to it.
            if n != -SystemError.again { return lost(index) }
        }
        send(index)
    }

    /// Hands the kernel what is left of the request.
    func send(_ index: Int) {
        let connection = connections.pointer(index)
        guard case .asking(let sent) = connection.pointee.phase,
            case .ask(let request, _) = instances[connection.pointee.instance]?.checking?.plan.question, sent < request.count
        else { return }
        let descriptor = connection.pointee.descriptor
        let n = request.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
            return calls.send(descriptor, rest.baseAddress, rest.count)
        }
        if n >= 0 {
            connection.pointee.phase = .asking(sent: sent + n)
        } else if n != -SystemError.again {
            lost(index)
        }
    }

    /// Reads what has come. That is bounded by what one response may be.
    private func read(_ index: Int) {
        let connection = connections.pointer(index)
        var progress = CheckResponse.Progress.more
        while true {
            let n = calls.receive(connection.pointee.descriptor, receiveBuffer.baseAddress, receiveBuffer.count)
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
    private func settle(_ index: Int, _ progress: CheckResponse.Progress) {
        let connection = connections.pointer(index)
        guard let verdict = connection.pointee.response.verdict else { return }
        guard let instance = instances[connection.pointee.instance] else { return close(index) }
        let isFresh: Bool
        let isGood: Bool
        switch connection.pointee.phase {
        case .asking(let sent):
            isFresh = true
            // After a failure the next check begins anew, perhaps at another address.
            isGood = verdict == .passed && sent == requestBytes(instance)
        case .connecting, .draining, .idle: (isFresh, isGood) = (false, true)
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

    private func requestBytes(_ instance: WatchedInstance) -> Int {
        if case .ask(let request, _) = instance.checking?.plan.question { request.count } else { 0 }
    }

    /// The instance has closed its side.
    private func closed(_ index: Int) { finish(index) { $0.inputClosed() } }

    /// The connection is gone, or of no use.
    private func lost(_ index: Int) { finish(index) { $0.gaveUp(.malformed) } }

    /// A kept connection that turns out to be closed before it brought a byte says nothing about the instance: many close
    /// idle ones after a while. The check goes on over a new one.
    private func finish(_ index: Int, _ end: (inout CheckResponse) -> CheckJudge.Verdict) {
        let connection = connections.pointer(index)
        let instance = instances[connection.pointee.instance]
        guard case .asking = connection.pointee.phase, let instance else { return close(index) }
        if connection.pointee.isReused, !connection.pointee.response.hasBegun {
            close(index)
            return connect(instance)
        }
        let verdict = end(&connection.pointee.response)
        close(index)
        ended(instance, verdict)
    }

    func close(_ index: Int) {
        let connection = connections.pointer(index)
        if case .idle = connection.pointee.phase { keptCount -= 1 }
        instances[connection.pointee.instance]?.connection = -1
        calls.close(connection.pointee.descriptor, 0)
        connection.pointee.response.discard()
        connection.pointee = CheckConnection()
        connections.free(index)
    }
}

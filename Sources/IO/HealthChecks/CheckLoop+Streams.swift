import GRPC
import HTTPMessages
import Health
import Primitives
import Reactor

/// Questions, and answers that come over HTTP/2.
extension CheckLoop {
    /// Sends the question of a check.
    /// - Returns: false when the connection takes none any more; it is as it was then.
    func ask(_ index: Int, _ instance: WatchedInstance, _ plan: CheckPlan) -> Bool {
        let connection = connections.pointer(index)
        let scheme: Scheme = connection.pointee.tls == nil ? .http : .https
        guard let stream = connection.pointee.stream else {
            guard case .ask(let request, let judge) = plan.question else { return false }
            connection.pointee.response = CheckResponse(judge: judge)
            begun(connection)
            if !request.withUnsafeBytes({ send(connection, $0) }) { lost(index) }
            return true
        }
        let isAsked =
            switch plan.question {
            case .ask(let request, let judge): stream.ask(request, body: [], judge, scheme: scheme)
            case .call(let head, let message):
                stream.ask(callHead(head, instance), body: message, HealthCallJudge(), scheme: scheme)
            case .connect, .unwritable: false
            }
        guard isAsked else { return false }
        begun(connection)
        _ = frame(index)
        return true
    }

    private func begun(_ connection: UnsafeMutablePointer<CheckConnection>) {
        if case .idle = connection.pointee.phase {
            keptCount -= 1
            connection.pointee.isReused = true
        }
        connection.pointee.phase = .asking
    }

    /// The head of a gRPC call with how long it may take: as long as the check.
    private func callHead(_ start: [UInt8], _ instance: WatchedInstance) -> [UInt8] {
        var out = ByteBuffer(capacity: start.count + 40)
        out.append(start)
        if let deadline = deadlines.time(of: instance.index) { GRPCTimeout.append(deadline.since(now), to: &out) }
        out.append("\r\n")
        return Array(out.unsafeBytes)
    }

    /// Sends the frames that wait, as far as the kernel takes them; the rest when it does.
    /// - Returns: false when that ended the connection.
    func frame(_ index: Int) -> Bool {
        let connection = connections.pointer(index)
        guard let stream = connection.pointee.stream else { return true }
        var isMore = true
        while isMore, connection.pointee.outgoing.isEmpty {
            frames.clear()
            isMore = stream.write(into: &frames, at: now, scratch: &head)
            guard send(connection, frames.unsafeBytes) else {
                lost(index)
                return false
            }
        }
        return true
    }

    /// Reads what has come; what that may be is bounded by the windows and budgets of the session.
    func readStream(_ index: Int) {
        let connection = connections.pointer(index)
        while true {
            let n = receive(connection)
            if n == -SystemError.again { return }
            guard n > 0 else { return lost(index) }
            guard feed(index, UnsafeRawBufferPointer(rebasing: receiveBuffer[..<n])) else { return }
        }
    }

    /// - Returns: whether the connection is still there.
    func feed(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let connection = connections.pointer(index)
        guard let stream = connection.pointee.stream else { return false }
        let token = Token(.backend, index: index, generation: connections.generation(index))
        stream.received(bytes, at: now, scratch: &head)
        guard frame(index) else { return false }
        settle(index, stream.progress)
        return connections.isLive(token)
    }
}

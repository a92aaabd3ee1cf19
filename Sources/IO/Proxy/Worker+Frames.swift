import Downstream
import HTTP2
import Multiplexing
import Primitives
import Reactor
import Upstream

/// Frames of HTTP/2 on their way out. What many streams have to say is gathered, and goes out in one piece at the end of the turn.
extension Worker {
    /// Bytes of frames that are gathered before they are sent.
    private static var gatheredBytes: Int { 65_536 }

    func markDirty(client index: Int) {
        guard let streams = clients.pointer(index).pointee.streams, !streams.pointee.isDirty else { return }
        streams.pointee.isDirty = true
        dirty.append(Token(.client, index: index, generation: clients.generation(index)))
    }

    func markDirty(backend index: Int) {
        guard let streams = backends.pointer(index).pointee.streams, !streams.pointee.isDirty else { return }
        streams.pointee.isDirty = true
        dirty.append(Token(.backend, index: index, generation: backends.generation(index)))
    }

    /// Body bytes for a stream, the second behind the first, which go into frames at once where there is room.
    func gather<W: Wire>(
        _ wire: UnsafeMutablePointer<W>, _ streams: StreamSessionPointer, _ stream: HTTP2StreamID,
        _ first: UnsafeRawBufferPointer,
        _ second: UnsafeRawBufferPointer
    ) {
        let isBlocked = !wire.pointee.outgoing.isEmpty
        gather(streams, stream, first, isBlocked: isBlocked)
        gather(streams, stream, second, isBlocked: isBlocked)
    }

    private func gather(
        _ streams: StreamSessionPointer, _ stream: HTTP2StreamID, _ bytes: UnsafeRawBufferPointer, isBlocked: Bool
    ) {
        guard bytes.count > 0 else { return }
        if isBlocked || streams.pointee.frames.count >= Self.gatheredBytes {
            streams.pointee.http2.send(stream, bytes)
        } else {
            streams.pointee.http2.send(stream, bytes, into: &streams.pointee.frames, limit: Self.gatheredBytes)
        }
    }

    /// Sends what was gathered in this turn. Who takes its bytes may have more to say.
    func sendFrames() {
        var rounds = 0
        while !dirty.isEmpty, rounds < Self.readsPerTurn {
            rounds += 1
            let tokens = dirty
            dirty.removeAll(keepingCapacity: true)
            for token in tokens {
                switch token.kind {
                case .client where clients.isLive(token):
                    clients.pointer(token.index).pointee.streams?.pointee.isDirty = false
                    writeFrames(token.index)
                case .backend where backends.isLive(token):
                    backends.pointer(token.index).pointee.streams?.pointee.isDirty = false
                    writeBackendFrames(token.index)
                default: break
                }
            }
        }
    }

    /// Sends what the session has to say, as far as the connection takes it.
    private func write<W: Wire>(_ streams: StreamSessionPointer, to wire: UnsafeMutablePointer<W>) -> Sent {
        var sent = Sent.all
        while wire.pointee.outgoing.isEmpty {
            let more = streams.pointee.http2.write(into: &streams.pointee.frames, limit: Self.gatheredBytes)
            guard !streams.pointee.frames.isEmpty else { break }
            sent = send(wire, streams.pointee.frames.unsafeBytes)
            streams.pointee.frames.clear()
            if case .failed = sent { return sent }
            if !more { break }
        }
        if streams.pointee.slots.isEmpty { streams.pointee.frames.clear(keeping: 16) }
        return sent
    }

    /// The last that is said on a connection, as far as it takes that at once.
    func writeLast<W: Wire>(_ streams: StreamSessionPointer, to wire: UnsafeMutablePointer<W>) {
        _ = streams.pointee.http2.write(into: &streams.pointee.frames, limit: 1024)
        if wire.pointee.outgoing.isEmpty, !streams.pointee.frames.isEmpty { _ = send(wire, streams.pointee.frames.unsafeBytes) }
    }

    func writeFrames(_ index: Int) {
        let client = clients.pointer(index)
        let token = Token(.client, index: index, generation: clients.generation(index))
        guard let streams = client.pointee.streams else { return }
        switch write(streams, to: client) {
        case .failed:
            abandonAll(index, .clientClosed)
            return closeClient(index, reset: true)
        case .blocked: armClient(index, now + listenerLimits(index).writeTimeout)
        case .all: break
        }
        // What broke a rule is reset with the frames that go out, and only then it is told that its stream is gone.
        guard handleEvents(index, streams) else { return }
        while clients.isLive(token), case .streams = client.pointee.phase, let stream = streams.pointee.http2.nextDrained() {
            guard let slot = exchange(on: streams, stream) else { continue }
            exchanges.pointer(slot).pointee.clientDeadline = .never
            clientDrained(slot)
        }
        guard clients.isLive(token), case .streams = client.pointee.phase else { return }
        // Streams also close when their last frame is written, and what nghttp2 found wrong shows when the peer is told.
        guard handleEvents(index, streams) else { return }
        wakeHeldStreams(index)
        guard clients.isLive(token), case .streams = client.pointee.phase else { return }
        if streams.pointee.isEnding { return }
        if streams.pointee.http2.failure != nil { return breakStreams(index) }
        if streams.pointee.http2.wantsClose, streams.pointee.slots.isEmpty, client.pointee.outgoing.isEmpty {
            return linger(index)
        }
        armIdleStreams(index)
    }

    func writeBackendFrames(_ index: Int) {
        let backend = backends.pointer(index)
        let token = Token(.backend, index: index, generation: backends.generation(index))
        guard let streams = backend.pointee.streams else { return }
        if streams.pointee.takesNothing {
            // The last of its whole answers may have been taken.
            if streams.pointee.slots.isEmpty { sharedBackendEnded(index) }
            return
        }
        if case .failed = write(streams, to: backend) { return sharedBackendRejects(index) }
        guard handleBackendEvents(index, streams) else { return }
        while backends.isLive(token), let stream = streams.pointee.http2.nextDrained() {
            guard let slot = exchange(on: streams, stream) else { continue }
            if case .tunnelled = exchanges.pointer(slot).pointee.step {
                tunnelFlushed(toBackend: slot)
            } else {
                continueForwarding(slot)
            }
        }
        guard backends.isLive(token) else { return }
        // Streams also close when their last frame is written, and what nghttp2 found wrong shows when the peer is told.
        guard handleBackendEvents(index, streams) else { return }
        if streams.pointee.http2.failure != nil { return breakShared(index) }
        if streams.pointee.slots.isEmpty { sharedBackendIdle(index) } else { armShared(index) }
    }
}

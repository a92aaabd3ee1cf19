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

    /// Turns what the streams have to say into frames, as far as the windows and the room allow.
    func frame(client index: Int) {
        let client = clients.pointer(index)
        guard let streams = client.pointee.streams else { return }
        markDirty(client: index)
        guard client.pointee.outgoing.isEmpty, streams.pointee.frames.count < Self.gatheredBytes else { return }
        _ = streams.pointee.http2.write(into: &streams.pointee.frames, limit: Self.gatheredBytes)
    }

    func frame(backend index: Int) {
        let backend = backends.pointer(index)
        guard let streams = backend.pointee.streams else { return }
        markDirty(backend: index)
        guard backend.pointee.outgoing.isEmpty, streams.pointee.frames.count < Self.gatheredBytes else { return }
        _ = streams.pointee.http2.write(into: &streams.pointee.frames, limit: Self.gatheredBytes)
    }

    /// Body bytes for a stream, which go into frames at once where there is room.
    func gather(_ streams: StreamSessionPointer, _ stream: HTTP2StreamID, _ bytes: UnsafeRawBufferPointer, isBlocked: Bool) {
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

    func writeFrames(_ index: Int) {
        let client = clients.pointer(index)
        let token = Token(.client, index: index, generation: clients.generation(index))
        guard let streams = client.pointee.streams else { return }
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        while client.pointee.outgoing.isEmpty {
            let more = streams.pointee.http2.write(into: &streams.pointee.frames, limit: Self.gatheredBytes)
            guard !streams.pointee.frames.isEmpty else { break }
            let sent = send(client, streams.pointee.frames.unsafeBytes, nothing)
            streams.pointee.frames.clear()
            if case .failed = sent {
                abandonAll(index, .clientClosed)
                return closeClient(index, reset: true)
            }
            if case .blocked = sent { armClient(index, now + listenerLimits(index).writeTimeout) }
            if !more { break }
        }
        if streams.pointee.slots.isEmpty { streams.pointee.frames.clear(keeping: 16) }
        // What broke a rule is reset with the frames that go out, and only then it is told that its stream is gone.
        while clients.isLive(token), case .streams = client.pointee.phase, let event = streams.pointee.http2.nextEvent() {
            streamEvent(index, streams, event)
        }
        while clients.isLive(token), case .streams = client.pointee.phase, let stream = streams.pointee.http2.nextDrained() {
            guard let slot = exchange(on: streams, stream) else { continue }
            exchanges.pointer(slot).pointee.clientDeadline = .never
            clientDrained(slot)
        }
        guard clients.isLive(token), case .streams = client.pointee.phase else { return }
        // Streams also close when their last frame is written, and what nghttp2 found wrong shows when the peer is told.
        while let event = streams.pointee.http2.nextEvent() {
            streamEvent(index, streams, event)
            guard clients.isLive(token), case .streams = client.pointee.phase else { return }
        }
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
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        while backend.pointee.outgoing.isEmpty {
            let more = streams.pointee.http2.write(into: &streams.pointee.frames, limit: Self.gatheredBytes)
            guard !streams.pointee.frames.isEmpty else { break }
            let sent = send(backend, streams.pointee.frames.unsafeBytes, nothing)
            streams.pointee.frames.clear()
            if case .failed = sent { return sharedBackendEnded(index) }
            if !more { break }
        }
        if streams.pointee.slots.isEmpty { streams.pointee.frames.clear(keeping: 16) }
        while backends.isLive(token), let event = streams.pointee.http2.nextEvent() {
            backendStreamEvent(index, streams, event)
        }
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
        while let event = streams.pointee.http2.nextEvent() {
            backendStreamEvent(index, streams, event)
            guard backends.isLive(token) else { return }
        }
        if streams.pointee.http2.failure != nil { return breakShared(index) }
        if streams.pointee.slots.isEmpty { sharedBackendIdle(index) } else { armShared(index) }
    }
}

import CNghttp2
import HTTP1
import Primitives

/// One connection of HTTP/2, as a server or as a client, without a descriptor and without a clock: bytes in, events out; heads
/// and bodies in, bytes out. Frames, HPACK, flow control and the states of streams are nghttp2's work (RFC 9113, RFC 7541);
/// limits, budgets and the form of heads are ours.
///
/// Heads go in and come out as the text of HTTP/1.1, so that one parser judges both protocols. The order of a turn: `receive` (or
/// `deadlineFired`), `nextEvent` until nil, what follows from the events, `write` until it has no more, and `nextEvent` again,
/// since streams also close when their last frame is written.
public struct HTTP2Session: ~Copyable {
    let state: UnsafeMutablePointer<SessionState>
    let memory: HTTP2Memory

    /// Begins with our SETTINGS, which `write` hands out.
    /// - Parameters:
    ///   - memory: that of the worker, which it shares with its other sessions.
    ///   - seed: for the keys of WebSocket handshakes.
    /// Nil when there is no memory.
    public init?(_ role: HTTP2Role, memory: HTTP2Memory, at now: Instant, seed: UInt64) {
        guard let state = HTTP2Session.makeState(role, memory, now, seed) else { return nil }
        self.state = state
        self.memory = memory
    }

    private static func makeState(
        _ role: HTTP2Role, _ memory: HTTP2Memory, _ now: Instant, _ seed: UInt64
    ) -> UnsafeMutablePointer<SessionState>? {
        let state = UnsafeMutablePointer<SessionState>.allocate(capacity: 1)
        var made: OpaquePointer?
        // nghttp2 copies the options; its own limit stands behind ours, and is not to be lower.
        let resets = UInt64(clamping: max(role.policy.resetsMax, 1))
        nghttp2_option_set_stream_reset_rate_limit(memory.option, resets &+ 1, max(resets / 10, 1))
        let result =
            switch role {
            case .server: nghttp2_session_server_new3(&made, memory.callbacks, state, memory.option, memory.allocator)
            case .client: nghttp2_session_client_new3(&made, memory.callbacks, state, memory.option, memory.allocator)
            }
        guard result == 0, let made else {
            state.deallocate()
            return nil
        }
        guard submitSettings(made, role) else {
            nghttp2_session_del(made)
            state.deallocate()
            return nil
        }
        state.initialize(to: SessionState(session: made, pool: memory.pool, role: role, at: now, seed: seed))
        return state
    }

    deinit {
        state.pointee.free()
        nghttp2_session_del(state.pointee.session)
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Our SETTINGS, and the window of the connection, which has no setting (RFC 9113 §6.9.2).
    ///
    /// nghttp2 is told of no limit of streams, since it ends the connection where one is exceeded; the client must see one stream
    /// refused, which it may repeat (RFC 9113 §5.1.2, §8.7). Our own limit stands in for it on the wire (`sayStreamLimit`).
    private static func submitSettings(_ session: OpaquePointer, _ role: HTTP2Role) -> Bool {
        let policy = role.policy
        let window = UInt32(clamping: min(max(policy.initialWindowBytes, 16_384), Int(cnghttp2_window_max())))
        let listBytes = UInt32(clamping: policy.limits.headerBytes)
        var entries = InlineArray<6, nghttp2_settings_entry>(repeating: nghttp2_settings_entry(settings_id: 0, value: 0))
        var count = 0
        func add(_ id: nghttp2_settings_id, _ value: UInt32) {
            entries[count] = nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: value)
            count += 1
        }
        switch role {
        case .server:
            add(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, UInt32(Int32.max))
            if policy.extendedConnect { add(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1) }
        case .client:
            add(NGHTTP2_SETTINGS_ENABLE_PUSH, 0)
        }
        add(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window)
        add(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, listBytes)
        // The tree of RFC 7540 costs more than it brings (RFC 9218 §2.1); our rounds share the connection out.
        add(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1)
        let connectionWindow = Int32(clamping: min(max(policy.connectionWindowBytes, 65_535), Int(cnghttp2_window_max())))
        let isSubmitted = entries.span.withUnsafeBufferPointer { buffer in
            nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), buffer.baseAddress, count) == 0
        }
        return isSubmitted
            && nghttp2_session_set_local_window_size(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, connectionWindow) == 0
    }

    // MARK: receiving

    /// Takes bytes of the peer. The events of the bytes before must have been taken.
    /// - Returns: false when the connection is over: `failure` says why, `write` has what the peer is told, and no more is read.
    public mutating func receive(_ bytes: UnsafeRawBufferPointer, at now: Instant) -> Bool {
        state.pointee.now = now
        guard state.pointee.failure == nil else { return false }
        guard bytes.count > 0, let start = bytes.baseAddress else { return true }
        if state.pointee.inspect(bytes) {
            let session = state.pointee.session
            let result = nghttp2_session_mem_recv(session, start.assumingMemoryBound(to: UInt8.self), bytes.count)
            if result < 0 { _ = state.pointee.fail(HTTP2Session.failure(result)) }
        }
        state.pointee.settleFailure()
        guard state.pointee.failure == nil else { return false }
        state.pointee.updateHeadersDeadline()
        if state.pointee.wantsDrain { state.pointee.beginDrain() }
        return true
    }

    private static func failure(_ result: Int) -> HTTP2Failure {
        switch Int32(truncatingIfNeeded: result) {
        case NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue: .badPreface
        case NGHTTP2_ERR_FLOODED.rawValue: .unreadAcknowledgements
        case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue: .tooManyContinuations
        default: .library
        }
    }

    /// The next of the things that happened, or nil when there is none.
    public mutating func nextEvent() -> HTTP2Event? { state.pointee.popEvent() }

    // MARK: writing

    /// Appends frames to `out` until nothing is left to say or `limit` bytes are reached (by no more than one frame).
    /// - Returns: whether more is to be written.
    public mutating func write(into out: inout ByteBuffer, limit: Int) -> Bool {
        let state = self.state
        return withUnsafeMutablePointer(to: &out) { out in
            let end = out.pointee.count + max(limit, 1)
            state.pointee.out = out
            state.pointee.outLimit = end
            state.pointee.limitReached = false
            defer { state.pointee.out = nil }
            return HTTP2Session.write(state, out, end)
        }
    }

    /// nghttp2 returns one frame a call, but for DATA, which `sendData` writes.
    private static func write(
        _ state: UnsafeMutablePointer<SessionState>, _ out: UnsafeMutablePointer<ByteBuffer>, _ end: Int
    ) -> Bool {
        let session = state.pointee.session
        while out.pointee.count < end {
            var frame: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &frame)
            if count > 0, let frame {
                let bytes = UnsafeRawBufferPointer(start: frame, count: count)
                if state.pointee.saysStreamLimit {
                    state.pointee.sayStreamLimit(bytes, into: &out.pointee)
                } else {
                    out.pointee.append(RawSpan(_unsafeBytes: bytes))
                }
                continue
            }
            if count < 0 {
                if state.pointee.failure == nil { state.pointee.failure = .library }
                return false
            }
            if state.pointee.limitReached { return true }
            if state.pointee.nextRound() { continue }
            // The reset budget may have been spent by frames of ours.
            guard state.pointee.pendingFailure != nil, state.pointee.failure == nil else { return false }
            state.pointee.settleFailure()
        }
        return true
    }

    // MARK: the connection

    /// Why the session came to its end before its time. A connection error that nghttp2 found shows once its GOAWAY is written.
    public var failure: HTTP2Failure? { state.pointee.failure }

    /// A server's streams that were reset for their client's faults since the last call; nil for none.
    public mutating func takeStreamFaults() -> HTTP2StreamFaults? {
        guard state.pointee.streamFaults != HTTP2StreamFaults() else { return nil }
        defer { state.pointee.streamFaults = HTTP2StreamFaults() }
        return state.pointee.streamFaults
    }

    /// Nothing is left to say or to hear: the connection can be closed.
    public var wantsClose: Bool {
        let session = state.pointee.session
        if nghttp2_session_want_write(session) != 0 { return false }
        return state.pointee.failure != nil || nghttp2_session_want_read(session) == 0
    }

    /// Streams that take one of the places that are allowed at one time.
    public var activeStreams: Int { state.pointee.activeStreams }

    /// Body bytes of all streams that are not in frames yet.
    public var pendingTotal: Int { state.pointee.pendingTotal }

    /// RFC 8441 §3.
    public var peerAllowsExtendedConnect: Bool {
        nghttp2_session_get_remote_settings(state.pointee.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1
    }

    /// Whether a client may send another request now.
    public var canOpenStream: Bool { state.pointee.canOpenStream }

    /// Begins or goes on with an orderly end (RFC 9113 §6.8). A server tells the peer first to open no more streams, and serves
    /// those that are on their way; called again, or `drainGrace` later, it says which was the last.
    public mutating func drain() {
        switch state.pointee.drainStep {
        case .open: state.pointee.beginDrain()
        case .announced: state.pointee.endDrain()
        case .final: break
        }
    }

    /// Whether a drain has begun, by `drain` or because the connection has served what it may.
    public var isDraining: Bool { state.pointee.drainStep != .open }

    /// Ends the connection with all its streams as soon as GOAWAY is written.
    public mutating func goAway(_ code: HTTP2ErrorCode) { state.pointee.terminate(.closedByOwner(code)) }

    /// Sends a PING; `.pingAcknowledged` tells of the answer.
    public mutating func ping(at now: Instant) {
        state.pointee.now = now
        state.pointee.ping()
    }

    /// A PING has not been answered yet.
    public var awaitsPing: Bool { state.pointee.pingsUnderWay > 0 }

    /// When to call `deadlineFired`; `.never` when there is nothing to wait for.
    public var nextDeadline: Instant {
        min(
            min(state.pointee.settingsDeadline, state.pointee.headersDeadline),
            min(state.pointee.pingDeadline, min(state.pointee.drainDeadline, state.pointee.stallDeadline)))
    }

    /// Does what is due; `write` may have something then, and `failure` may be set.
    public mutating func deadlineFired(at now: Instant) {
        state.pointee.now = now
        state.pointee.deadlineFired()
    }
}

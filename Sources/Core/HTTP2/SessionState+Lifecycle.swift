import CNghttp2
import Primitives

/// How a session ends, and what it waits for.
extension SessionState {
    private static var noFlags: UInt8 { UInt8(NGHTTP2_FLAG_NONE.rawValue) }

    var canOpenStream: Bool {
        guard !isServer, failure == nil, drainStep == .open, !goAwayReceived, streamsServed < policy.requestsPerConnection,
            activeStreams < min(policy.maxConcurrentStreams, peerMaxConcurrent)
        else { return false }
        return nghttp2_session_check_request_allowed(session) != 0
    }

    mutating func beginDrain() {
        wantsDrain = false
        guard drainStep == .open, failure == nil else { return }
        guard isServer else { return endDrain() }
        drainStep = .announced
        drainDeadline = now + policy.drainGrace
        _ = nghttp2_submit_shutdown_notice(session)
    }

    mutating func endDrain() {
        guard drainStep != .final, failure == nil else { return }
        drainStep = .final
        drainDeadline = .never
        _ = nghttp2_submit_goaway(
            session, Self.noFlags, nghttp2_session_get_last_proc_stream_id(session), HTTP2ErrorCode.noError.rawValue, nil, 0)
    }

    mutating func ping() {
        guard failure == nil, nghttp2_submit_ping(session, Self.noFlags, nil) == 0 else { return }
        pingsUnderWay += 1
        if pingDeadline == .never { pingDeadline = now + pingTimeout }
    }

    mutating func deadlineFired() {
        if settingsDeadline <= now { return terminate(.settingsTimeout) }
        if headersDeadline <= now { return terminate(.headersTimeout) }
        if pingDeadline <= now { return terminate(.pingTimeout) }
        if drainDeadline <= now { endDrain() }
        if stallDeadline <= now { resetStalled() }
    }
}

import CNghttp2
import HTTP1
import HTTPMessages
import Primitives

/// All that a session keeps, at an address that does not change, since nghttp2's callbacks get it as their user data.
///
/// No method in here calls into the two functions of nghttp2 that call back (`mem_recv`, `mem_send`), so that no callback finds
/// the state in use.
struct SessionState: ~Copyable {
    /// Whoever holds a session made it with memory that lives longer.
    let session: OpaquePointer
    let pool: UnsafeMutablePointer<BlockPool>
    let policy: HTTP2ServerPolicy
    let isServer: Bool
    let pingTimeout: TimeAmount

    /// The time of the last call that brought one.
    var now: Instant
    var random: RandomSource
    var walker: FrameWalker
    var resets: GlitchBudget
    var control: GlitchBudget
    var earned = EarnedFrames()
    /// Of a server: the highest stream for which HEADERS were received, whatever nghttp2 made of them.
    private var lastStreamBegun: Int32 = 0
    var failure: HTTP2Failure?
    /// What a callback found, to be carried out when nghttp2 has returned.
    var pendingFailure: HTTP2Failure?
    var drainStep = DrainStep.open
    /// A budget is nearly spent: the session is to be drained once nghttp2 has returned.
    var wantsDrain = false
    var streamFaults = HTTP2StreamFaults()

    // Deadlines; `.never` when nothing is waited for.
    var settingsDeadline = Instant.never
    var headersDeadline = Instant.never
    var pingDeadline = Instant.never
    var drainDeadline = Instant.never
    var stallDeadline = Instant.never
    /// A header block lacks its END_HEADERS.
    var isBlockOpen = false
    /// One was begun since the last look.
    var isBlockNew = false
    /// CONTINUATION frames of the header block under way (CVE-2024-28182).
    var continuationCount = 0
    var pingsUnderWay = 0

    // Streams.
    /// In `recordMemory`; of no use while that is empty, as in an idle session.
    var records: UnsafeMutablePointer<StreamRecord>
    var recordMemory = Block()
    /// Places that were never used follow this one.
    var recordsUsed = 0
    var liveRecords = 0
    /// The first place that was used and is free; `UInt32.max` for none.
    var firstFree = UInt32.max
    /// Streams that hold one of the places that are allowed at one time.
    var activeStreams = 0
    /// Streams that were released before they were closed.
    var openWithoutOwner = 0
    var streamsServed = 0
    var headOffences = 0
    /// Requests that came behind the last GOAWAY.
    var headsIgnored = 0
    /// The highest stream of the peer that nghttp2 has opened.
    var lastPeerStream: Int32 = 0
    /// The streams that the client has opened so far, in bytes that nghttp2 may not have seen yet.
    var opened = OpenedStreams()
    /// Streams that our side reset last: frames for them may still be on their way.
    var recentResets = InlineArray<64, Int32>(repeating: 0)
    var recentResetCount = 0
    var assembly: HeadAssembly

    // The peer.
    var peerMaxConcurrent = 100
    var peerWindow: UInt32 = 65_535
    var goAwayReceived = false

    // Events.
    var events = Block()
    var nextEvent = 0

    // Sending.
    var pendingTotal = 0
    /// Streams with bytes to send.
    var pendingStreams = 0
    var waitingStreams = 0
    var drainedStreams = 0
    var round: UInt32 = 1
    /// The buffer of the `write` under way, and how long it may become.
    var out: UnsafeMutablePointer<ByteBuffer>?
    var outLimit = 0
    var limitReached = false
    /// Our SETTINGS have not been written yet, and lack our limit of streams.
    var saysStreamLimit: Bool

    init(
        session: OpaquePointer, pool: UnsafeMutablePointer<BlockPool>, role: HTTP2Role, at now: Instant, seed: UInt64
    ) {
        self.session = session
        self.pool = pool
        let policy = role.policy
        self.policy = policy
        switch role {
        case .server:
            isServer = true
            pingTimeout = .forever
            walker = FrameWalker(preface: Int(NGHTTP2_CLIENT_MAGIC_LEN))
        case .client(let client):
            isServer = false
            pingTimeout = client.pingTimeout
            walker = FrameWalker(preface: 0)
        }
        assembly = HeadAssembly(
            HeadRules(scheme: policy.scheme, extendedConnect: policy.extendedConnect, limits: policy.limits))
        saysStreamLimit = isServer
        self.now = now
        random = RandomSource(seed: seed)
        // Each reset may have cost a backend a request.
        resets = GlitchBudget(burst: policy.resetsMax, at: now)
        control = GlitchBudget(burst: policy.controlFramesMax, at: now)
        guard let nowhere = UnsafeMutablePointer<StreamRecord>(bitPattern: 64) else { preconditionFailure("64 is not 0") }
        records = nowhere
        settingsDeadline = now + policy.settingsTimeout
    }

    /// Gives everything back but nghttp2's session.
    mutating func free() {
        let pool = pool
        assembly.drop(pool)
        for slot in 0..<recordsUsed {
            pool.pointee.give(&records[slot].head)
            pool.pointee.give(&records[slot].trailers)
            pool.pointee.give(&records[slot].body)
            pool.pointee.give(&records[slot].trailersToSend)
        }
        pool.pointee.give(&recordMemory)
        pool.pointee.give(&events)
    }

    /// The step that a drain has come to.
    enum DrainStep {
        case open
        /// GOAWAY with the highest number was sent: nothing new, but what is on its way is served.
        case announced
        /// GOAWAY with the last stream's number was sent.
        case final
    }

    // MARK: failing

    /// Notes why the connection must end; the first reason counts. For callbacks, which return what this returns.
    mutating func fail(_ failure: HTTP2Failure) -> Int32 {
        if self.failure == nil, pendingFailure == nil { pendingFailure = failure }
        return cnghttp2_give_up_connection()
    }

    /// Has GOAWAY sent for what a callback or a walk found. Not within a callback.
    mutating func settleFailure() {
        guard let found = pendingFailure else { return }
        pendingFailure = nil
        terminate(found)
    }

    mutating func terminate(_ found: HTTP2Failure) {
        guard failure == nil else { return }
        failure = found
        settingsDeadline = .never
        headersDeadline = .never
        pingDeadline = .never
        drainDeadline = .never
        stallDeadline = .never
        assembly.drop(pool)
        _ = nghttp2_session_terminate_session(session, found.code.rawValue)
    }

    /// - Returns: 0, or what a callback returns to end the connection.
    mutating func controlGlitch(_ tokens: UInt64 = 1) -> Int32 {
        switch control.spend(tokens, at: now) {
        case .within: return 0
        case .nearlySpent:
            wantsDrain = true
            return 0
        case .spent: return fail(.tooManyControlFrames)
        }
    }

    mutating func resetGlitch() -> Int32 {
        switch resets.spend(1, at: now) {
        case .within: return 0
        case .nearlySpent:
            wantsDrain = true
            return 0
        case .spent: return fail(.tooManyResets)
        }
    }

    // MARK: frames, before nghttp2 sees them

    /// Counts the frames that begin in these bytes. False: the connection is over, and nghttp2 is not to see them.
    mutating func inspect(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress else { return true }
        let base = start.assumingMemoryBound(to: UInt8.self)
        var position = 0
        while let frame = walker.next(base, &position, bytes.count) {
            guard inspect(frame) == 0 else { return false }
        }
        return true
    }

    private mutating func inspect(_ frame: FrameHeader) -> Int32 {
        switch frame.type {
        case FrameType.data:
            if frame.length == 0, frame.flags & FrameFlag.endStream == 0 { return controlGlitch() }
            return isServer ? requireOpen(frame.stream, isHead: false) : 0
        case FrameType.headers:
            isBlockOpen = frame.flags & FrameFlag.endHeaders == 0
            isBlockNew = true
            continuationCount = 0
            guard isServer else { return 0 }
            // RFC 9113 §5.1.1. nghttp2 would pass over it, since it does not remember which streams there were.
            if opened.headReceived(frame.stream) == .passedOver { return fail(.connectionError(.protocolError)) }
            // Here and not when nghttp2 has opened it: what the frames behind it may do is judged before that.
            if frame.stream > lastStreamBegun {
                lastStreamBegun = frame.stream
                earned.streamOpened()
            }
            return requireOpen(frame.stream, isHead: true)
        case FrameType.priority:
            // RFC 9113 §6.3; nghttp2 does not look at what it ignores.
            return frame.stream == 0 ? fail(.connectionError(.protocolError)) : controlGlitch()
        case FrameType.continuation:
            isBlockOpen = frame.flags & FrameFlag.endHeaders == 0
            continuationCount += 1
            if continuationCount > 8 { return fail(.tooManyContinuations) }
            return frame.length == 0 ? controlGlitch() : 0
        case FrameType.settings: return frame.flags & FrameFlag.acknowledgement == 0 ? controlGlitch() : 0
        case FrameType.ping:
            if frame.flags & FrameFlag.acknowledgement != 0 { return pingsUnderWay > 0 ? 0 : controlGlitch() }
            return earned.received() ? 0 : controlGlitch()
        case FrameType.windowUpdate: return earned.received() ? 0 : controlGlitch()
        case FrameType.reset, FrameType.pushPromise: return 0
        default: return controlGlitch()
        }
    }

    /// A frame with content for a stream that nghttp2 has opened and closed: an error unless our side has reset it, since then what was
    /// on its way is no fault (RFC 9113 §5.1). nghttp2 would pass over it. What comes in the same read as the stream's opening is judged
    /// by nghttp2 alone.
    private mutating func requireOpen(_ stream: Int32, isHead: Bool) -> Int32 {
        guard stream > 0, stream & 1 == 1, failure == nil else { return 0 }
        if stream > lastPeerStream { return isHead && drainStep == .final ? headIgnored() : 0 }
        guard nghttp2_session_find_stream(session, stream) == nil else { return 0 }
        // Header blocks must be decoded even where nobody reads them (RFC 9113 §4.3), so that they have their price.
        let price = isHead ? controlGlitch() : 0
        guard price == 0, drainStep == .open else { return price }
        var oldest = Int32.max
        for i in 0..<min(recentResetCount, 64) {
            if recentResets[i] == stream { return 0 }
            oldest = min(oldest, recentResets[i])
        }
        // One that was reset longer ago than the list goes back.
        if recentResetCount > 64, stream < oldest { return 0 }
        return fail(.frameOnClosedStream)
    }

    /// A request behind the last one that is served. Those that were on their way are no fault, and they are no more than there are places.
    private mutating func headIgnored() -> Int32 {
        headsIgnored += 1
        return headsIgnored > policy.maxConcurrentStreams ? controlGlitch() : 0
    }

    /// Our side resets a stream.
    mutating func noteReset(_ stream: Int32) {
        recentResets[recentResetCount & 63] = stream
        recentResetCount &+= 1
    }

    /// Sets or clears the deadline of the header block under way. After nghttp2 has seen the bytes.
    mutating func updateHeadersDeadline() {
        let isInBlock =
            isBlockOpen
            || (!walker.isBetweenFrames && (walker.type == FrameType.headers || walker.type == FrameType.continuation))
        if !isInBlock {
            headersDeadline = .never
        } else if isBlockNew || headersDeadline == .never {
            headersDeadline = now + policy.headersTimeout
        }
        isBlockNew = false
    }
}

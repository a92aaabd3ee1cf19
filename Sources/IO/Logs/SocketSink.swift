import Primitives
import Reactor
import Telemetry

/// Sends lines to a receiver of log messages, and connects again when it is lost. Owned by the writer's thread.
///
/// A line leaves its batch when the kernel has taken all of it; what a lost connection had in flight beyond that is lost, and not
/// known. As long as the receiver is away or takes nothing, lines stay in the batch.
struct SocketSink: ~Copyable {
    /// Where a batch got to.
    enum Step {
        /// The kernel has all of it.
        case delivered
        /// The socket takes no more; by the given time it must have taken something.
        case blocked(Int32, until: Instant)
        /// Not connected until the given time.
        case away(until: Instant)
    }

    private struct Link {
        let socket: OutwardSocket
        let framing: ReceiverAddress.Framing
        let since: Instant
        var hasSent = false
        var lastProgress: Instant

        /// A datagram socket is connected to nothing until it has sent.
        var isProven: Bool { socket.kind == .stream || hasSent }
    }

    private enum State {
        case away(retryAt: Instant)
        case linked(Link)
    }

    /// A message that waits to be sent: where it ends in `frames`, and where its line ends in the batch.
    private struct Frame {
        let end: Int
        let lineEnd: Int
    }

    /// So many bytes go to a stream in one call.
    private static let chunkBytes = 65_536
    /// A stream that takes nothing for so long is taken for dead.
    private static let stallTimeout = TimeAmount.seconds(30)

    private let address: ReceiverAddress
    private let header: SyslogHeader
    private var state = State.away(retryAt: Instant(nanoseconds: 0))
    private var backoff = Backoff()
    private var health = SinkHealth()
    private var notices: [SinkHealth.Notice] = []
    /// Lines that were given up and not yet reported, and all that the writer knows of.
    private var loss = 0
    private var dropped: UInt64 = 0

    private var frames = ByteBuffer(capacity: 1024)
    private var ends: [Frame] = []
    /// Bytes of `frames` and entries of `ends` that the kernel has.
    private var sent = 0
    private var sentFrames = 0
    /// The batch's offset behind the last line in `frames`.
    private var framedTo = 0

    init(_ address: ReceiverAddress, content: LogWriter.Content) {
        self.address = address
        header = SyslogHeader(content: content)
    }

    /// Sends what it can.
    /// - Parameters:
    ///   - dropped: the lines that the writer has lost so far.
    ///   - isLast: the writer is ending, so a receiver that is away gets one more chance at once.
    mutating func step(_ batch: inout LineBatch, dropped: UInt64, isLast: Bool) -> Step {
        self.dropped = dropped
        let now = Clock.monotonic
        if case .away(let retryAt) = state {
            guard now >= retryAt || isLast else { return .away(until: retryAt) }
            state = connect()
        }
        var link: Link
        switch state {
        case .away(let retryAt): return .away(until: retryAt)
        case .linked(let made): link = made
        }
        let error = link.socket.probe()
        guard error == 0 else { return lose(link, error, &batch) }
        let step = send(&batch, over: &link)
        if case .linked = state { state = .linked(link) }
        if case .delivered = step, link.isProven {
            note(health.worked(lost: dropped + UInt64(loss), at: Clock.monotonic))
        }
        return step
    }

    /// Lets go of the receiver, to look it up and connect anew.
    mutating func reopen(_ batch: inout LineBatch) {
        if case .linked(let link) = state { link.socket.close() }
        forgetFrames(&batch)
        backoff = Backoff()
        state = .away(retryAt: Instant(nanoseconds: 0))
    }

    /// The batch's lines will not be sent any more.
    mutating func giveUp(_ batch: inout LineBatch) {
        forgetFrames(&batch)
        loss += batch.lineCount
        batch.advance(to: batch.bytes.count)
    }

    mutating func close() {
        if case .linked(let link) = state { link.socket.close() }
        state = .away(retryAt: .never)
    }

    /// When an idle sink is to be stepped again, to see whether it works.
    var checkAt: Instant {
        if case .linked(let link) = state, link.isProven { health.isDue } else { .never }
    }

    mutating func takeLoss() -> Int {
        defer { loss = 0 }
        return loss
    }

    mutating func takeNotices() -> [SinkHealth.Notice] {
        defer { notices = [] }
        return notices
    }

    private mutating func connect() -> State {
        do {
            let connection = try address.connect()
            let now = Clock.monotonic
            return .linked(Link(socket: connection.socket, framing: connection.framing, since: now, lastProgress: now))
        } catch {
            let now = Clock.monotonic
            note(health.failed(error.reason, lost: dropped + UInt64(loss), at: now))
            return .away(retryAt: backoff.failed(at: now))
        }
    }

    private mutating func send(_ batch: inout LineBatch, over link: inout Link) -> Step {
        while true {
            if sent == frames.count {
                deliverFrames(&batch)
                fill(batch, link.framing)
                // A stall begins with bytes that wait.
                link.lastProgress = Clock.monotonic
                if frames.isEmpty {
                    // Only empty lines were left.
                    batch.advance(to: framedTo)
                    return .delivered
                }
            }
            let end = link.framing == .datagrams ? ends[sentFrames].end : frames.count
            let n = link.socket.send(UnsafeRawBufferPointer(rebasing: frames.unsafeBytes[sent..<end]))
            if n > 0 {
                sent += n
                while sentFrames < ends.count, ends[sentFrames].end <= sent { sentFrames += 1 }
                link.hasSent = true
                link.lastProgress = Clock.monotonic
            } else if n == 0 || n == -SystemError.again {
                let end = link.lastProgress + Self.stallTimeout
                if Clock.monotonic < end { return .blocked(link.socket.descriptor, until: end) }
                return lose(link, SystemError.connectionTimedOut, &batch)
            } else if link.framing == .datagrams, n == -SystemError.messageTooLong || n == -SystemError.noBuffers {
                // This message and no other.
                loss += 1
                sent = end
                sentFrames += 1
            } else {
                return lose(link, -n, &batch)
            }
        }
    }

    /// The next messages, as many as one call is to send.
    private mutating func fill(_ batch: borrowing LineBatch, _ framing: ReceiverAddress.Framing) {
        let now = Timestamp(nanoseconds: Int64(clamping: Clock.realtime))
        framedTo = batch.start
        batch.forEachLine { line, severity, end in
            if !line.isEmpty {
                append(line, severity, framing, now)
                ends.append(Frame(end: frames.count, lineEnd: end))
            }
            framedTo = end
            return frames.count < Self.chunkBytes
        }
    }

    private mutating func append(_ line: RawSpan, _ severity: LogLevel, _ framing: ReceiverAddress.Framing, _ now: Timestamp) {
        if case .journal = address { return JournalEntry.append(severity, line, into: &frames) }
        var message = line
        switch framing {
        case .datagrams:
            message = JSONText.prefix(of: line, limit: SyslogHeader.datagramBytesMax - header.count)
        case .octetCounts:
            frames.append(decimal: UInt64(header.count + line.byteCount))
            frames.append(ASCII.space)
        case .lineFeeds: break
        }
        header.append(severity, line, now: now, into: &frames)
        frames.append(message)
        if framing == .lineFeeds { frames.append(ASCII.lf) }
    }

    /// All messages are with the kernel.
    private mutating func deliverFrames(_ batch: inout LineBatch) {
        if !frames.isEmpty { batch.advance(to: framedTo) }
        frames.clear(keeping: 4 * Self.chunkBytes)
        ends.removeAll(keepingCapacity: true)
        sent = 0
        sentFrames = 0
    }

    /// What has not been sent whole is sent again from its beginning.
    private mutating func forgetFrames(_ batch: inout LineBatch) {
        if sentFrames > 0 { batch.advance(to: ends[sentFrames - 1].lineEnd) }
        frames.clear(keeping: 4 * Self.chunkBytes)
        ends.removeAll(keepingCapacity: true)
        sent = 0
        sentFrames = 0
    }

    private mutating func lose(_ link: Link, _ error: Int, _ batch: inout LineBatch) -> Step {
        let now = Clock.monotonic
        forgetFrames(&batch)
        let before = dropped + UInt64(loss)
        // The error is the answer to an earlier datagram.
        if case .syslog(.udp) = address, link.hasSent { loss += 1 }
        link.socket.close()
        let retryAt = backoff.lost(since: link.since, at: now)
        if retryAt > now { note(health.failed(SystemError.text(error), lost: before, at: now)) }
        state = .away(retryAt: retryAt)
        return .away(until: retryAt)
    }

    private mutating func note(_ notice: SinkHealth.Notice?) {
        if let notice { notices.append(notice) }
    }
}

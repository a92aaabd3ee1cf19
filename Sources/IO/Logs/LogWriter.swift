import Glibc
import Primitives
import Reactor
import Synchronization
import Telemetry

/// Writes log lines to a file, a pipe, a terminal, journald or syslog on a thread of its own, so that a slow or full disk, or a
/// receiver that is away, never holds up a worker.
///
/// At most `capacity` bytes wait; what comes on top is dropped and counted. A write to a file that fails (disk full, reader gone)
/// drops its bytes, and the next one is tried all the same; a receiver that is lost is connected again, and the lines wait for
/// it. That a log fails, and that it works again, is said on standard error, once each.
public final class LogWriter: Sendable {
    public enum Target: Sendable, Equatable {
        case standardOutput
        case standardError
        case file(String)
        /// The journal of systemd, by its native protocol.
        case journald
        case syslog(SyslogTarget)
    }

    /// What the lines tell of; syslog's MSGID says it (`access` or `log`).
    public enum Content: Sendable {
        case access
        case daemon
    }

    /// The log cannot be opened; the error number says why.
    public struct OpenError: Error, Sendable {
        public let path: String
        public let error: Int
    }

    /// Two seconds of a busy gateway's log, and little memory.
    static let capacity = 8 << 20
    /// How long lines gather before they are written: a wake-up a request would cost more than the line.
    static let gatherTime = TimeAmount.milliseconds(20)
    /// How long a writer that ends waits for a receiver that takes nothing.
    static let lastWait = TimeAmount.seconds(1)
    static let journalPath = "/run/systemd/journal/socket"

    private struct Pending {
        var batch = LineBatch()
        /// Bytes that the writer has taken and not yet written.
        var held = 0
        /// The writer sleeps until it is told of the next line.
        var isIdle = true
        var reopens = false
        /// The writer ends once this has passed and nothing waits.
        var stopsAt = Instant.never
    }

    /// What the writer's thread is asked for.
    private struct Orders {
        let reopens: Bool
        let stopsAt: Instant
    }

    private enum Opened: Sendable {
        case file(FileSink)
        case receiver(ReceiverAddress)
    }

    private struct ThreadArgument: @unchecked Sendable {
        let writer: Unmanaged<LogWriter>
        let opened: Opened
    }

    private let name: String
    private let content: Content
    /// Receivers are told of each line how much it matters.
    private let keepsSeverity: Bool
    /// Where is said that this log fails; -1 for nowhere.
    private let noticeDescriptor: Int32
    private let pending = Mutex(Pending())
    private let wake: WakeDescriptor
    private let dropped = Atomic<UInt64>(0)
    private let finished = Atomic<Bool>(false)

    /// - Throws: when a file cannot be opened for appending. A receiver may be away: it is waited for.
    public convenience init(_ target: Target, content: Content = .access) throws(OpenError) {
        try self.init(target, content: content, journalPath: Self.journalPath, noticeDescriptor: 2)
    }

    init(_ target: Target, content: Content, journalPath: String, noticeDescriptor: Int32) throws(OpenError) {
        self.content = content
        let path: String
        switch target {
        case .standardOutput: (name, path) = ("standard output", "")
        case .standardError: (name, path) = ("standard error", "")
        case .file(let file): (name, path) = (file, file)
        case .journald: (name, path) = (ReceiverAddress.journal(path: journalPath).text, journalPath)
        case .syslog(let receiver): (name, path) = (ReceiverAddress.syslog(receiver).text, "")
        }
        // A standard error that fails cannot tell of it.
        self.noticeDescriptor = target == .standardError ? -1 : noticeDescriptor
        let opened: Opened
        do {
            wake = try WakeDescriptor()
            switch target {
            case .standardOutput: opened = .file(FileSink(standard: 1))
            case .standardError: opened = .file(FileSink(standard: 2))
            case .file(let path): opened = .file(try FileSink(path: path))
            case .journald: opened = .receiver(.journal(path: journalPath))
            case .syslog(let receiver): opened = .receiver(.syslog(receiver))
            }
        } catch {
            throw OpenError(path: path, error: error.error)
        }
        keepsSeverity = if case .receiver = opened { true } else { false }
        let argument = ThreadArgument(writer: Unmanaged.passRetained(self), opened: opened)
        startThread(name: "sluice-log") {
            let writer = argument.writer.takeRetainedValue()
            switch argument.opened {
            case .file(let sink): writer.run(sink)
            case .receiver(let address): writer.run(SocketSink(address, content: writer.content))
            }
            writer.finished.store(true, ordering: .releasing)
        }
    }

    deinit { wake.close() }

    /// Lines that were lost since the start.
    public var droppedLines: UInt64 { dropped.load(ordering: .relaxed) }

    /// Hands over whole lines; returns at once.
    public func append(_ lines: RawSpan, severity: LogLevel = .info) {
        let wakes = lines.withUnsafeBytes { from in
            pending.withLock { state -> Bool in
                if state.held + state.batch.bytes.count + from.count > Self.capacity {
                    let lost = from.reduce(into: 0) { $0 += $1 == ASCII.lf ? 1 : 0 }
                    dropped.add(UInt64(lost), ordering: .relaxed)
                    return false
                }
                state.batch.append(from, keepsSeverity ? severity : nil)
                defer { state.isIdle = false }
                return state.isIdle
            }
        }
        if wakes { wake.signal() }
    }

    /// Opens the file again, for log rotation, or connects anew; what waits goes to the new one.
    public func reopen() {
        pending.withLock {
            $0.reopens = true
            $0.isIdle = false
        }
        wake.signal()
    }

    /// Ends the writer behind what is handed over in the next `milliseconds`; returns at once.
    public func stop(afterMilliseconds milliseconds: Int = 0) {
        pending.withLock {
            $0.stopsAt = Clock.monotonic + .milliseconds(UInt64(max(0, milliseconds)))
            $0.isIdle = false
        }
        wake.signal()
    }

    /// Writes what waits, for at most `milliseconds`.
    public func finish(milliseconds: Int) {
        stop()
        let end = Clock.monotonic + .milliseconds(UInt64(max(0, milliseconds)))
        while !finished.load(ordering: .acquiring), Clock.monotonic < end { usleep(500) }
    }

    private func run(_ first: FileSink) {
        var sink = first
        var health = SinkHealth()
        var batch = LineBatch()
        while true {
            let orders = take(&batch)
            let before = droppedLines
            var loss = orders.reopens ? sink.reopen() : FileSink.Loss()
            drop(loss.lines)
            let wasEmpty = batch.isEmpty
            if !wasEmpty {
                loss = sink.write(batch.bytes)
                drop(loss.lines)
                batch.advance(to: batch.bytes.count)
                if loss.error == nil { say(health.worked(lost: droppedLines, at: Clock.monotonic)) }
            }
            if let error = loss.error { say(health.failed(SystemError.text(error), lost: before, at: Clock.monotonic)) }
            if wasEmpty, orders.stopsAt <= Clock.monotonic { break }
            wait(until: wasEmpty && orders.stopsAt == .never ? .never : Clock.monotonic + Self.gatherTime)
        }
        drop(sink.close())
    }

    private func run(_ first: consuming SocketSink) {
        var sink = first
        var batch = LineBatch()
        while true {
            let orders = take(&batch)
            if orders.reopens { sink.reopen(&batch) }
            let wasEmpty = batch.isEmpty
            let isLast = orders.stopsAt <= Clock.monotonic
            let step = sink.step(&batch, dropped: droppedLines, isLast: isLast)
            drop(sink.takeLoss())
            for notice in sink.takeNotices() { say(notice) }
            if isLast {
                if wasEmpty, batch.isEmpty { break }
                if case .away = step { break }
                if Clock.monotonic >= orders.stopsAt + Self.lastWait { break }
            }
            let soon = Clock.monotonic + Self.gatherTime
            switch step {
            case .delivered: wait(until: wasEmpty && orders.stopsAt == .never ? sink.checkAt : soon)
            case .away(let until): wait(until: min(until, orders.stopsAt))
            case .blocked(let descriptor, let until):
                let stop = orders.stopsAt == .never ? Instant.never : orders.stopsAt + (isLast ? Self.lastWait : .zero)
                wait(until: min(until, stop), writable: descriptor)
            }
        }
        sink.giveUp(&batch)
        _ = take(&batch)
        sink.giveUp(&batch)
        drop(sink.takeLoss())
        sink.close()
    }

    /// Takes what waits, where the batch has been written.
    private func take(_ batch: inout LineBatch) -> Orders {
        let isWritten = batch.isEmpty
        if isWritten { batch.clear() }
        return pending.withLock { state in
            if isWritten {
                swap(&batch, &state.batch)
                state.held = batch.bytes.count
                if batch.isEmpty, state.stopsAt == .never { state.isIdle = true }
            }
            defer { state.reopens = false }
            return Orders(reopens: state.reopens, stopsAt: state.stopsAt)
        }
    }

    private func drop(_ lines: Int) {
        if lines > 0 { dropped.add(UInt64(lines), ordering: .relaxed) }
    }

    /// Until somebody signals, or the descriptor is writable.
    private func wait(until: Instant, writable descriptor: Int32 = -1) {
        var events = [
            pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0),
        ]
        if poll(&events, 2, until.millisecondsAway) > 0, events[0].revents != 0 { wake.clear() }
    }

    /// One short line, and only where it can be written at once.
    private func say(_ notice: SinkHealth.Notice?) {
        guard let notice, noticeDescriptor >= 0 else { return }
        var line = ByteBuffer(capacity: 512)
        let time = Timestamp(nanoseconds: Int64(clamping: Clock.realtime))
        switch notice {
        case .fails(let reason):
            LogLine.append(
                .error, at: time, "log cannot be written", ["log": .string(name), "error": .string(reason)], into: &line)
        case .works(let lost):
            LogLine.append(
                .info, at: time, "log is written again", ["log": .string(name), "lost": .integer(Int64(clamping: lost))],
                into: &line)
        }
        var event = pollfd(fd: noticeDescriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&event, 1, 0) > 0 else { return }
        let bytes = line.unsafeBytes
        _ = Glibc.write(noticeDescriptor, bytes.baseAddress, bytes.count)
    }
}

import Glibc
import Primitives
import Reactor
import Synchronization

/// Writes log lines to a file, a pipe or a terminal on a thread of its own, so that a slow or full disk never holds up a worker.
///
/// At most `capacity` bytes wait; what comes on top is dropped and counted. A write that fails (disk full, reader gone) drops its bytes, and
/// the next one is tried all the same.
public final class LogWriter: Sendable {
    public enum Target: Sendable, Equatable {
        case standardOutput
        case standardError
        case file(String)
    }

    /// The log cannot be opened; the error number says why.
    public struct OpenError: Error, Sendable {
        public let path: String
        public let error: Int
    }

    /// Two seconds of a busy gateway's log, and little memory.
    static let capacity = 8 << 20
    /// How long lines gather before they are written: a wake-up a request would cost more than the line.
    static let gatherMilliseconds: Int32 = 20

    private struct Pending {
        var bytes: [UInt8] = []
        /// The writer sleeps until it is told of the next line.
        var isIdle = true
        var reopens = false
        /// The writer ends once this has passed and nothing waits.
        var stopsAt = Instant.never
    }

    private let target: Target
    private let pending = Mutex(Pending())
    private let wake: WakeDescriptor
    private let dropped = Atomic<UInt64>(0)
    private let finished = Atomic<Bool>(false)

    /// - Throws: when the file cannot be opened for appending.
    public init(_ target: Target) throws(OpenError) {
        self.target = target
        let path = if case .file(let path) = target { path } else { "" }
        do {
            wake = try WakeDescriptor()
        } catch {
            throw OpenError(path: path, error: error.error)
        }
        let descriptor = try Self.open(target)
        let writer = Unmanaged.passRetained(self)
        let argument = ThreadArgument(writer: writer, descriptor: descriptor)
        startThread(name: "sluice-log") { argument.writer.takeRetainedValue().run(argument.descriptor) }
    }

    private struct ThreadArgument: @unchecked Sendable {
        let writer: Unmanaged<LogWriter>
        let descriptor: Int32
    }

    deinit { wake.close() }

    /// Lines that were lost since the start.
    public var droppedLines: UInt64 { dropped.load(ordering: .relaxed) }

    /// Hands over whole lines; returns at once.
    public func append(_ lines: RawSpan) {
        let wakes = lines.withUnsafeBytes { from in
            pending.withLock { state -> Bool in
                if state.bytes.count + from.count > Self.capacity {
                    let lost = from.reduce(into: 0) { $0 += $1 == 0x0a ? 1 : 0 }
                    dropped.add(UInt64(lost), ordering: .relaxed)
                    return false
                }
                state.bytes.append(contentsOf: from)
                defer { state.isIdle = false }
                return state.isIdle
            }
        }
        if wakes { wake.signal() }
    }

    /// Opens the file again, for log rotation; what waits goes to the new one.
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
            $0.stopsAt = Clock.monotonic + .milliseconds(UInt64(milliseconds))
            $0.isIdle = false
        }
        wake.signal()
    }

    /// Writes what waits, for at most `milliseconds`.
    public func finish(milliseconds: Int) {
        stop()
        let end = Clock.monotonic + .milliseconds(UInt64(milliseconds))
        while !finished.load(ordering: .acquiring), Clock.monotonic < end { usleep(500) }
    }

    private static func open(_ target: Target) throws(OpenError) -> Int32 {
        switch target {
        case .standardOutput: return 1
        case .standardError: return 2
        case .file(let path):
            do {
                return try openLogFile(path)
            } catch {
                throw OpenError(path: path, error: error.error)
            }
        }
    }

    private func run(_ first: Int32) {
        var descriptor = first
        var batch: [UInt8] = []
        var isIdle = true
        while true {
            wait(milliseconds: isIdle ? -1 : Self.gatherMilliseconds)
            batch.removeAll(keepingCapacity: true)
            let (reopens, stopsAt) = pending.withLock { state -> (Bool, Instant) in
                swap(&batch, &state.bytes)
                defer { state.reopens = false }
                if batch.isEmpty, state.stopsAt == .never { state.isIdle = true }
                return (state.reopens, state.stopsAt)
            }
            if reopens, case .file = target { descriptor = reopened(descriptor) }
            isIdle = batch.isEmpty && stopsAt == .never
            write(batch, descriptor)
            if stopsAt <= Clock.monotonic, batch.isEmpty { break }
        }
        if case .file = target { closeDescriptor(descriptor) }
        finished.store(true, ordering: .releasing)
    }

    /// The new descriptor, or the old one where the new one cannot be had.
    private func reopened(_ old: Int32) -> Int32 {
        do {
            let new = try Self.open(target)
            closeDescriptor(old)
            return new
        } catch {
            return old
        }
    }

    private func wait(milliseconds: Int32) {
        var event = pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0)
        if poll(&event, 1, milliseconds) > 0 { wake.clear() }
    }

    private func write(_ batch: [UInt8], _ descriptor: Int32) {
        batch.withUnsafeBytes { bytes in
            var start = 0
            while start < bytes.count {
                let n = Glibc.write(descriptor, bytes.baseAddress! + start, bytes.count - start)
                if n > 0 {
                    start += n
                } else if errno == EINTR {
                    continue
                } else if errno == EAGAIN, waitWritable(descriptor) {
                    continue
                } else {
                    let lost = bytes[start...].reduce(into: 0) { $0 += $1 == 0x0a ? 1 : 0 }
                    dropped.add(UInt64(lost), ordering: .relaxed)
                    return
                }
            }
        }
    }

    /// A pipe that nobody empties for a second has lost its lines.
    private func waitWritable(_ descriptor: Int32) -> Bool {
        var event = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&event, 1, 1000) > 0 && event.revents & Int16(POLLOUT) != 0
    }
}

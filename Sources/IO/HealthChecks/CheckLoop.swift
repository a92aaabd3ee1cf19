import HTTP2
import HTTPMessages
import Health
import Primitives
import Reactor
import TLS
import Upstream

/// What other threads tell the checker.
public enum CheckMessage: Sendable {
    case watch([WatchedService])
    case hurry(InstanceState)
    case stop
}

/// The checker's loop: waits for sockets and for what is due next, and carries each check as far as it goes.
///
/// The files beside this one: +Watching (configurations), +Checks (from due to connected), +Handshakes (from there to the question),
/// +Connections and +Streams (answers over HTTP/1.1 and HTTP/2), +Transport (bytes), +Verdicts (what comes of them), +Time (the
/// seconds that pass). A simulator calls `turn` itself.
public final class CheckLoop {
    /// Checks in flight; the others wait in the order in which they are due.
    public static var checksMax: Int { 64 }
    /// Connections kept open between checks: descriptors that traffic may need more.
    public static var keptMax: Int { 1024 }
    private static var receiveBytes: Int { 16_384 }

    let calls: SystemCalls
    let poller: Poller
    private let mailbox: Mailbox<CheckMessage>
    let report: @Sendable (ServiceEvent) -> Void

    var services: [WatchedService] = []
    /// Nil where one has gone.
    var instances: [WatchedInstance?] = []
    /// Places in `instances` that are nil.
    var freePlaces: [Int] = []
    /// By what they watch.
    var places: [ObjectIdentifier: WatchedInstance] = [:]
    /// Counts the configurations taken over.
    var adoption = 0
    var connections: Slab<CheckConnection>
    /// Instances whose next check is due, or waits for its turn.
    var due = DueQueue()
    /// Instances whose check runs, and when it has failed by taking too long.
    var deadlines = DueQueue()
    var keptCount = 0
    /// Instances for whom somebody was in a hurry since the last tick.
    var hurried: [WatchedInstance] = []
    var nextTick = Instant.never
    var tickCount = 0
    var random: RandomSource
    var now: Instant
    /// One for all connections that are encrypted.
    let tls = TLSEngine()
    /// One for all that speak HTTP/2; nil until there is one.
    var http2Memory: HTTP2Memory?
    /// Where plain bytes come, decrypted or from the kernel.
    let receiveBuffer: UnsafeMutableRawBufferPointer
    /// What came encrypted.
    let cipherBuffer: UnsafeMutableRawBufferPointer
    /// Frames of HTTP/2 on their way to the kernel.
    var frames = ByteBuffer(capacity: 0)
    /// Where heads are parsed.
    var head = ResponseHead()
    private(set) var isStopped = false

    /// - Throws: when the kernel gives no epoll instance.
    public init(
        mailbox: Mailbox<CheckMessage>, seed: UInt64, calls: SystemCalls = .kernel,
        report: @escaping @Sendable (ServiceEvent) -> Void
    ) throws(PollerError) {
        self.calls = calls
        self.mailbox = mailbox
        self.report = report
        poller = try Poller(calls: calls)
        connections = Slab { CheckConnection() }
        random = RandomSource(seed: seed)
        now = Instant(nanoseconds: calls.monotonic())
        receiveBuffer = .allocate(byteCount: Self.receiveBytes + TLSLimits.recordBytes, alignment: 64)
        cipherBuffer = .allocate(byteCount: Self.receiveBytes, alignment: 64)
        poller.addLevel(mailbox.descriptor, Token(.mailbox, index: 0, generation: 0))
    }

    deinit {
        receiveBuffer.deallocate()
        cipherBuffer.deallocate()
    }

    /// Works until it is told to stop, then closes everything.
    public func run() {
        while !isStopped { turn(timeout: 60_000) }
        adopt([])
    }

    /// Waits for at most `timeout` milliseconds, then handles what has happened and begins what is due.
    public func turn(timeout: Int32) {
        now = Instant(nanoseconds: calls.monotonic())
        let count = poller.wait(timeout: min(timeout, untilNext))
        now = Instant(nanoseconds: calls.monotonic())
        for i in 0..<count {
            let token = poller.token(i)
            switch token.kind {
            case .backend: connectionEvent(token, poller.flags(i))
            case .mailbox: readMailbox()
            case .listener, .client, .exchange, nil: break
            }
        }
        // Events first: an answer that came in time counts, however late the loop sees it.
        while let next = deadlines.first, next.at <= now { timedOut(next.item) }
        if nextTick <= now { tick() }
        beginDue()
    }

    /// Milliseconds until something is to be done, rounded up, so that the loop does not spin for the rest of one.
    private var untilNext: Int32 {
        var next = min(nextTick, deadlines.first?.at ?? .never)
        if deadlines.count < Self.checksMax, let first = due.first { next = min(next, first.at) }
        guard next != .never else { return .max }
        return Int32(clamping: (next.since(now).nanoseconds + 999_999) / 1_000_000)
    }

    private func readMailbox() {
        var latest: [WatchedService]?
        for message in mailbox.drain() {
            switch message {
            // A configuration that another one follows at once is passed over.
            case .watch(let services): latest = services
            case .hurry(let state): hurry(state)
            case .stop: isStopped = true
            }
        }
        if let latest { adopt(latest) }
    }
}

import Downstream
import HTTP1
import HTTP2
import HTTPMessages
import Logs
import Pipeline
import Pooling
import Primitives
import Reactor
import Resilience
import TLS
import Telemetry
import Upstream

/// One thread's gateway: its listeners, its clients, its backends and the requests between them. Nothing in it is shared but what it is given.
///
/// `turn` is the whole of it: wait for events, carry each one as far as it goes, fire the timers that are due, read the mailbox.
/// The files beside this one follow a request: +Clients (bytes in), +Requests (route and chain), +Acquiring (a connection),
/// +Forwarding (bytes to the backend), +Responses (bytes back), +Answers (our own), +Endings (counters, log, what becomes of
/// the connections).
public final class Worker {
    /// Bytes taken from a socket in one call. Large enough that most messages come whole, small enough to stay in the cache.
    static let receiveBytes = 65_536
    /// Reads from one socket before the others get their turn.
    static let readsPerTurn = 16

    public let index: Int
    /// It serves the admin listener, whose requests are not logged.
    let isAdmin: Bool
    public let mailbox: Mailbox<WorkerMessage>
    let calls: SystemCalls
    let poller: Poller
    let limits: ConnectionLimits
    var accessLog: LogWriter?
    var accessLogFormat: Telemetry.AccessLogFormat
    var accessLogRules: AccessLogRules
    let control: any WorkerControl
    /// For diagnosis and tests; nil in ordinary operation.
    let transitions: TransitionLog?
    let sink: WorkerResumptionSink

    var clients: Slab<ClientConnection>
    var backends: Slab<BackendConnection>
    var exchanges: Slab<ExchangeRecord>
    var timers: TimerWheel
    var listeners: [ListenerState] = []
    /// Pools of all configurations that are in use; nil where one has gone.
    var pools: [PoolPointer?] = []
    /// The same by the instance they lead to.
    var poolsByInstance: [ObjectIdentifier: PoolPointer] = [:]
    /// Places in `pools` that are nil.
    var freePools: [Int] = []
    var queues: [ServiceQueue] = []
    /// The same by the service's state.
    var queuesByService: [ObjectIdentifier: ServiceQueue] = [:]
    /// Requests in all queues of this worker.
    var waitingCount = 0
    /// A connection or a slot has become free while requests waited.
    var hasQueueWork = false
    var metrics = WorkerMetrics()
    var shedder = LoadShedder()
    /// When instances that do not answer are looked for again.
    var nextLook = Instant(nanoseconds: 0)
    var current: Generation
    /// The rules of its listeners.
    var listenerRules: UnsafePointer<ListenerRules>
    /// Counts the configurations that this worker has adopted.
    var currentNumber = 0
    /// Older configurations under which requests still run.
    var retiring: [Generation] = []

    private(set) var receiveBuffer: UnsafeMutableRawBufferPointer
    /// Those that take its place while its bytes are being worked off.
    private var spareBuffers: [UnsafeMutableRawBufferPointer] = []
    /// What is received encrypted, on its way to `receiveBuffer`.
    let cipherBuffer: UnsafeMutableRawBufferPointer
    let tls = TLSEngine()
    /// Why the last one of the calls that receive has failed.
    var tlsFailure: HandshakeFault?
    /// What all HTTP/2 sessions share; nil until there is one.
    private var sharedHTTP2Memory: HTTP2Memory?
    /// What is being put together for one send.
    var out = ByteBuffer(capacity: 131_072)
    /// The response that is being passed on; one at a time, since a head is read, changed and written in one go.
    var response = ResponseHead()
    var reports = RuleReports()
    /// Lines of the access log that were lost and have been counted.
    var lostLines: UInt64 = 0
    /// The second that the last line was stamped with, as text.
    var logClock = SecondText()
    var logLines = ByteBuffer(capacity: 16_384)
    var deferred: [Token] = []
    /// Connections with frames to send at the end of the turn.
    var dirty: [Token] = []
    var random: RandomSource
    var now: Instant
    /// Nanoseconds since 1970.
    var wallClock: UInt64
    var phase = Phase.serving

    enum Phase: Equatable {
        case serving
        /// No new connections; each answer says `Connection: close`.
        case draining(until: Instant)
        case stopped
    }

    /// - Throws: when the kernel gives no epoll instance.
    public init(
        index: Int, isAdmin: Bool, snapshot: GatewaySnapshot, limits: ConnectionLimits, accessLog: LogWriter?,
        control: any WorkerControl,
        seed: UInt64, calls: SystemCalls = .kernel, transitions: TransitionLog? = nil
    ) throws(PollerError) {
        self.index = index
        self.isAdmin = isAdmin
        self.calls = calls
        self.limits = limits
        self.accessLog = accessLog
        self.control = control
        self.transitions = transitions
        accessLogFormat = snapshot.configuration.accessLog.format == .json ? .json : .combined
        accessLogRules = snapshot.accessLogRules
        poller = try Poller(calls: calls)
        mailbox = try Mailbox()
        sink = WorkerResumptionSink(mailbox: mailbox)
        now = Instant(nanoseconds: calls.monotonic())
        wallClock = calls.realtime()
        timers = TimerWheel(now: now)
        random = RandomSource(seed: seed)
        receiveBuffer = Self.makeReceiveBuffer()
        cipherBuffer = .allocate(byteCount: Self.receiveBytes, alignment: 64)
        clients = Slab { ClientConnection() }
        backends = Slab { BackendConnection() }
        let first = Generation(snapshot: snapshot, pools: [])
        current = first
        listenerRules = snapshot.listenerRules
        // Never looked at: a record gets the generation of its request before anything is done with it.
        let unused = Unmanaged.passUnretained(first)
        exchanges = Slab { [sink] in ExchangeRecord(names: NameTable(), generation: unused, sink: sink) }
        poller.addLevel(mailbox.descriptor, Token(.mailbox, index: 0, generation: 0))
        adopt(snapshot)
    }

    deinit {
        receiveBuffer.deallocate()
        for buffer in spareBuffers { buffer.deallocate() }
        cipherBuffer.deallocate()
    }

    /// - Returns: nil when there is no memory.
    func http2Session(_ role: HTTP2Role) -> HTTP2Session? {
        if sharedHTTP2Memory == nil { sharedHTTP2Memory = HTTP2Memory() }
        guard let memory = sharedHTTP2Memory else { return nil }
        return HTTP2Session(role, memory: memory, at: now, seed: random.next())
    }

    private static func makeReceiveBuffer() -> UnsafeMutableRawBufferPointer {
        .allocate(byteCount: receiveBytes + TLSLimits.recordBytes, alignment: 64)
    }

    /// Sets the receive buffer aside with what is in it, until `giveBack`. The events of one read on a connection of many streams point
    /// into it, and each may lead to a read on some other connection, which must not write over those to come.
    func holdReceived() -> UnsafeMutableRawBufferPointer {
        let held = receiveBuffer
        receiveBuffer = spareBuffers.popLast() ?? Self.makeReceiveBuffer()
        return held
    }

    func giveBack(_ held: UnsafeMutableRawBufferPointer) {
        spareBuffers.append(receiveBuffer)
        receiveBuffer = held
    }

    /// Serves until it is told to stop.
    public func run() {
        while phase != .stopped { turn(timeout: 1000) }
        closeEverything()
        control.drained(worker: index)
    }

    /// Waits for at most `timeout` milliseconds, then handles what has happened.
    public func turn(timeout: Int32) {
        let count = poller.wait(
            timeout: deferred.isEmpty && !hasQueueWork && dirty.isEmpty
                ? timers.timeout(now: now, limit: min(timeout, untilDrained)) : 0)
        let woke = Instant(nanoseconds: calls.monotonic())
        now = woke
        wallClock = calls.realtime()
        for i in 0..<count { handle(poller.token(i), poller.flags(i)) }
        while let token = timers.next(now: now) { timerFired(token) }
        runDeferred()
        if hasQueueWork { serveQueues() }
        if !dirty.isEmpty { sendFrames() }
        if !logLines.isEmpty { flushLog() }
        if let transitions { transitions.flush() }
        if now >= reports.due { reportLeftOut(upTo: now) }
        if case .draining(let until) = phase { continueDrain(until: until) }
        if now >= nextLook { lookForSilence() }
        let end = Instant(nanoseconds: calls.monotonic())
        metrics.loopTurned(end.since(woke))
        shedder.turned(end.since(woke), at: end)
    }

    /// Milliseconds until the drain is over; a long time when there is none.
    private var untilDrained: Int32 {
        guard case .draining(let until) = phase else { return .max }
        return Int32(clamping: until.since(now).nanoseconds / 1_000_000 + 1)
    }

    @inline(__always)
    private func handle(_ token: Token, _ flags: UInt32) {
        switch token.kind {
        case .client: clientEvent(token, flags)
        case .backend: backendEvent(token, flags)
        case .listener: _ = acceptClients(listener: token.index)
        case .mailbox: readMailbox()
        case .exchange, nil: break
        }
    }

    private func timerFired(_ token: Token) {
        switch token.kind {
        case .client: clientTimerFired(token)
        case .backend: backendTimerFired(token)
        case .exchange: exchangeTimerFired(token)
        case .listener: resumeAccepting(listener: token.index)
        case .mailbox, nil: break
        }
    }

    /// Looks again at connections that had more to do than their share of the turn.
    private func runDeferred() {
        guard !deferred.isEmpty else { return }
        let tokens = deferred
        deferred.removeAll(keepingCapacity: true)
        for token in tokens {
            switch token.kind {
            case .client where clients.isLive(token):
                clients.pointer(token.index).pointee.isDeferred = false
                clientReadable(token.index)
            case .backend where backends.isLive(token):
                backends.pointer(token.index).pointee.isDeferred = false
                backendReadable(token.index)
            default: break
            }
        }
    }

    func deferClient(_ index: Int) {
        let client = clients.pointer(index)
        guard !client.pointee.isDeferred else { return }
        client.pointee.isDeferred = true
        deferred.append(Token(.client, index: index, generation: clients.generation(index)))
    }

    func deferBackend(_ index: Int) {
        let backend = backends.pointer(index)
        guard !backend.pointee.isDeferred else { return }
        backend.pointee.isDeferred = true
        deferred.append(Token(.backend, index: index, generation: backends.generation(index)))
    }

    func flushLog() {
        accessLog?.append(logLines.bytes)
        logLines.clear()
    }
}

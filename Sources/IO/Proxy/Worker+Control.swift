import Configuration
import Downstream
import HTTPMessages
import Logs
import Pipeline
import Pooling
import Primitives
import Reactor
import Resilience
import Telemetry
import Upstream

/// What other threads tell a worker.
public enum WorkerMessage: Sendable {
    case adopt(GatewaySnapshot)
    /// Where the access log goes from now on.
    case log(LogWriter?)
    /// Sockets for addresses that this worker does not serve yet.
    case listen([OpenListener])
    /// Post the counters to the control thread.
    case report
    /// A connection slot has become free.
    case slotFreed
    /// Close an idle connection to this instance: another worker needs its slot.
    case giveBack(InstanceState)
    case resume(SuspensionPoint, ResumeVerdict)
    /// Say that the loop turns.
    case beat
    /// Say that what was posted before has been done, for the configuration of this number.
    case acknowledge(Int)
    /// Finish what runs, by then at the latest.
    case drain(until: Instant)
    case stop
}

/// A socket that a worker accepts from, under the address that configurations name.
public struct OpenListener: Sendable {
    public var address: ListenAddress
    public var socket: ListeningSocket

    public init(address: ListenAddress, socket: ListeningSocket) {
        self.address = address
        self.socket = socket
    }
}

/// Something that an administrator should be able to look up: a request or a response that was not HTTP, with the rule it broke.
public struct BrokenMessage: Sendable {
    public enum Sender: Sendable {
        case client(IPAddress)
        /// An instance, by its name.
        case backend(String)
        /// No client at all: accepting on this address failed, with the error as rule.
        case listener(String)
    }

    /// Bytes of it that are shown.
    static var bytesMax: Int { 128 }

    public var sender: Sender
    /// The rule, in one word.
    public var rule: StaticString
    /// How it began; nil where only a number is told.
    public var bytes: [UInt8]?
    /// How many more broke the rule since it was reported last.
    public var leftOut: Int
}

/// What a worker asks of the rest of the process. Called from the worker's thread; must not block.
public protocol WorkerControl: AnyObject, Sendable {
    /// Whether new requests are welcome.
    var isReady: Bool { get }
    /// A worker's requests wait for connections to an instance, and others may have idle ones.
    func giveBack(_ instance: InstanceState, for worker: Int)
    /// A slot is free that this worker has waited for.
    func slotFreed(worker: Int)
    func received(_ snapshot: MetricsSnapshot, worker: Int)
    func broken(_ message: BrokenMessage)
    /// It has ended, and everything that it had to say has been said.
    func drained(worker: Int)
    /// Renders the metrics on another thread and resumes the point with them.
    func renderMetrics(for sink: any ResumptionSink, _ point: SuspensionPoint, openMetrics: Bool)
    /// Answers a request to the admin API on another thread and resumes the point with the answer.
    func administer(_ request: AdminRequest, for sink: any ResumptionSink, _ point: SuspensionPoint)
    /// New requests run under the configuration of this number.
    func adopted(_ number: Int, worker: Int)
    /// Nothing of this worker runs under the configuration any more. Taking a large one apart is not a worker's work.
    func released(_ snapshot: GatewaySnapshot)
    /// The loop turns.
    func beat(worker: Int)
    /// What runs short in the process.
    var pressure: LoadShedder.Pressure { get }
    /// Something about a service has changed, and is in force already.
    func changed(_ event: ServiceEvent)
    /// Traffic has put an instance in doubt: its next check is to come at once.
    func suspected(_ instance: InstanceState)
}

/// Brings resumptions from any thread back to the worker.
final class WorkerResumptionSink: ResumptionSink {
    private let mailbox: Mailbox<WorkerMessage>

    init(mailbox: Mailbox<WorkerMessage>) { self.mailbox = mailbox }

    func resume(_ point: SuspensionPoint, with verdict: ResumeVerdict) { mailbox.post(.resume(point, verdict)) }
}

extension Worker {
    func readMailbox() {
        for message in mailbox.drain() {
            switch message {
            case .adopt(let snapshot): adopt(snapshot)
            case .log(let writer):
                flushLog()
                countLostLines()
                accessLog = writer
                lostLines = writer?.droppedLines ?? 0
            case .listen(let sockets): listen(sockets)
            case .report:
                countLostLines()
                control.received(metrics.snapshot(), worker: index)
            case .slotFreed: slotFreed()
            case .giveBack(let instance): giveBack(instance)
            case .resume(let point, let verdict): resume(point, verdict)
            case .beat: control.beat(worker: index)
            case .acknowledge(let number): control.adopted(number, worker: index)
            case .drain(let until): startDrain(until: until)
            case .stop: phase = .stopped
            }
        }
    }

    /// The log belongs to all workers; the first one counts for it.
    private func countLostLines() {
        guard index == 0, let lost = accessLog?.droppedLines, lost > lostLines else { return }
        metrics.logDropped(lost - lostLines)
        lostLines = lost
    }

    private func resume(_ point: SuspensionPoint, _ verdict: ResumeVerdict) {
        let token = Token(raw: point.exchange)
        guard case .exchange = token.kind, exchanges.isLive(token) else { return }
        switch point.phase {
        case .request: resumeRequest(token.index, point, verdict)
        case .response: resumeResponse(token.index, point, verdict)
        }
    }

    /// Serves new requests under another configuration; what runs ends under its own.
    func adopt(_ snapshot: GatewaySnapshot) {
        let old = current
        var named: [PoolPointer] = []
        named.reserveCapacity(snapshot.names.instances.count)
        for service in snapshot.services {
            let queue = queue(of: service.state)
            let label = snapshot.serviceLabels[service.index]
            for (i, instance) in service.instances.enumerated() {
                named.append(pool(of: instance, queue, service.pool, service.dialects[i], label))
            }
        }
        // Who is in the backlog of a listener that goes has connected, as far as it can tell; it is let in by the old rules.
        for i in listeners.indices where listeners[i].socket.descriptor >= 0 {
            guard !snapshot.listeners.contains(where: { $0.address == listeners[i].address }) else { continue }
            while acceptClients(listener: i) {}
        }
        current = Generation(snapshot: snapshot, pools: named)
        listenerRules = snapshot.listenerRules
        currentNumber += 1
        hasQueueWork = true
        if old.inFlight > 0 { retiring.append(old) } else { control.released(old.snapshot) }
        exchangesForget(names: snapshot.names)
        metrics.adopt(snapshot.labels)
        accessLogRules = snapshot.accessLogRules
        accessLogFormat = snapshot.configuration.accessLog.format == .json ? .json : .combined
        retirePools(except: Set(named))
        for i in listeners.indices where listeners[i].socket.descriptor >= 0 {
            let index = snapshot.listeners.firstIndex { $0.address == listeners[i].address }
            listeners[i].index = index
            if index == nil { closeListener(i) }
        }
    }

    /// Free records would otherwise keep the names of the configuration under which they were used last.
    private func exchangesForget(names: NameTable) {
        for i in 0..<exchanges.capacity where !exchanges.isTaken(i) {
            exchanges.pointer(i).pointee.context.names = names
            exchanges.pointer(i).pointee.generationNumber = -1
        }
    }

    private func queue(of state: ServiceState) -> ServiceQueue {
        if let queue = queuesByService[ObjectIdentifier(state)] { return queue }
        let queue = ServiceQueue(state: state)
        queues.append(queue)
        queuesByService[ObjectIdentifier(state)] = queue
        return queue
    }

    private func pool(
        of instance: InstanceState, _ queue: ServiceQueue, _ settings: PoolConfiguration, _ dialect: BackendDialect,
        _ label: Label
    ) -> PoolPointer {
        let policy = ConnectionPool.Policy(
            idleTimeout: settings.idleTimeout, requestsPerConnection: settings.maxRequestsPerConnection)
        if let pool = poolsByInstance[ObjectIdentifier(instance)] {
            pool.pointee.pool.revive(policy: policy)
            if !pool.pointee.dialect.isSame(as: dialect) { change(pool, to: dialect) }
            pool.pointee.dialect.streamsMax = dialect.streamsMax
            pool.pointee.label = label
            return pool
        }
        let index = freePools.popLast() ?? pools.count
        let pool = PoolPointer.allocate(capacity: 1)
        pool.initialize(
            to: InstancePool(index: Int32(index), state: instance, queue: queue, label: label, policy: policy, dialect: dialect))
        if index < pools.count { pools[index] = pool } else { pools.append(pool) }
        poolsByInstance[ObjectIdentifier(instance)] = pool
        return pool
    }

    /// Connections that were made in another way, or trusting others, are not used any more.
    private func change(_ pool: PoolPointer, to dialect: BackendDialect) {
        closeIdle(pool)
        retireShared(pool)
        pool.pointee.dialect = dialect
        pool.pointee.speaksHTTP2 = dialect.http == .http2
    }

    /// Pools that the newest configuration does not name close what is idle, and go once nothing is lent and no running request
    /// may still ask for them.
    private func retirePools(except named: Set<PoolPointer>) {
        for case let pool? in pools where !named.contains(pool) && !pool.pointee.pool.isRetired {
            for connection in pool.pointee.pool.retire() { closeBackend(Int(connection)) }
            retireShared(pool)
        }
        dropRetired()
    }

    /// Forgets configurations under which nothing runs any more, and the pools that only they named.
    func dropRetired() {
        retiring.removeAll { generation in
            guard generation.inFlight == 0 else { return false }
            control.released(generation.snapshot)
            return true
        }
        guard retiring.isEmpty else { return }
        for index in pools.indices {
            guard let pool = pools[index], pool.pointee.pool.isRetired, pool.pointee.pool.openCount == 0 else { continue }
            poolsByInstance[ObjectIdentifier(pool.pointee.state)] = nil
            free(pool)
            pools[index] = nil
            freePools.append(index)
        }
        let used = Set(pools.compactMap { $0.map { ObjectIdentifier($0.pointee.queue.state) } })
        queues.removeAll { queue in
            let key = ObjectIdentifier(queue.state)
            guard queue.waiters.isEmpty, !used.contains(key) else { return false }
            queuesByService[key] = nil
            return true
        }
    }

    private func free(_ pool: PoolPointer) {
        pool.deinitialize(count: 1)
        pool.deallocate()
    }

    private func listen(_ sockets: [OpenListener]) {
        guard case .serving = phase else { return sockets.forEach { calls.close($0.socket.descriptor, 0) } }
        for open in sockets {
            let state = ListenerState(
                socket: open.socket, address: open.address,
                index: current.snapshot.listeners.firstIndex { $0.address == open.address })
            let hole = listeners.firstIndex { $0.index == nil && $0.socket.descriptor < 0 && $0.openClients == 0 }
            let place = hole ?? listeners.count
            if hole != nil { listeners[place] = state } else { listeners.append(state) }
            poller.addLevel(open.socket.descriptor, Token(.listener, index: place, generation: 0))
        }
    }

    /// Its clients may finish what they have begun, and are told to close.
    private func closeListener(_ index: Int) {
        let socket = listeners[index].socket
        if !listeners[index].isPaused { poller.remove(socket.descriptor) }
        calls.close(socket.descriptor, 0)
        listeners[index].socket = ListeningSocket.closed
        for i in 0..<clients.capacity where clients.isTaken(i) && Int(clients.pointer(i).pointee.listener) == index {
            hurryIdle(i, now + .seconds(1))
        }
    }

    /// A client that is about to ask may still do so, and is told to close then; one that stays silent is closed. What is on its way in
    /// or out keeps its own time.
    private func hurryIdle(_ index: Int, _ deadline: Instant) {
        let client = clients.pointer(index)
        switch client.pointee.phase {
        case .head, .proxyHeader, .handshake: break
        case .streams: return drainStreams(index)
        case .exchange, .lingering: return
        }
        guard client.pointee.input.isEmpty, client.pointee.outgoing.isEmpty else { return }
        armClient(index, min(client.pointee.deadline.instant, deadline))
    }

    private func startDrain(until: Instant) {
        guard case .serving = phase else { return }
        for i in listeners.indices where listeners[i].socket.descriptor >= 0 {
            // Who is in the backlog has connected, as far as it can tell.
            while acceptClients(listener: i) {}
            closeListener(i)
        }
        phase = .draining(until: until)
        closeTunnels()
        for i in 0..<clients.capacity where clients.isTaken(i) { hurryIdle(i, min(until, now + .seconds(1))) }
    }

    func continueDrain(until: Instant) {
        if clients.liveCount == 0 || now >= until {
            phase = .stopped
        }
    }

    /// Breaks off what still runs.
    func closeEverything() {
        for i in 0..<exchanges.capacity where exchanges.isTaken(i) {
            if exchanges.pointer(i).pointee.client >= 0 { abandonExchange(i, .draining) }
        }
        for i in 0..<clients.capacity where clients.isTaken(i) { closeClient(i) }
        for case let pool? in pools { retireShared(pool) }
        _ = closeIdleBackends(atMost: .max)
        for listener in listeners where listener.socket.descriptor >= 0 { calls.close(listener.socket.descriptor, 0) }
        flushLog()
        if let transitions { transitions.flush() }
        reportLeftOut(upTo: .never)
        control.received(metrics.snapshot(), worker: index)
        for case let pool? in pools { free(pool) }
        pools = []
    }
}

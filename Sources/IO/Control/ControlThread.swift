import Admin
import Configuration
import ConfigurationFile
import Downstream
import Glibc
import HTTP2
import HealthChecks
import Logs
import Pipeline
import Primitives
import Proxy
import Reactor
import Synchronization
import TLS
import Telemetry
import Upstream

/// What is told to the control thread.
enum ControlMessage: Sendable {
    case counters(MetricsSnapshot, worker: Int)
    case drained(worker: Int)
    case broken(BrokenMessage)
    case render(any ResumptionSink, SuspensionPoint, openMetrics: Bool)
    case administer(AdminRequest, any ResumptionSink, SuspensionPoint)
    case adopted(Int, worker: Int)
    /// The last reference to it may be the message's: it is taken apart here, and not by a worker.
    case released(GatewaySnapshot)
    case beat(worker: Int)
    /// It is in force already.
    case event(ServiceEvent)
}

/// The process but for its workers: signals, configuration, names, counters, the admin API. Runs on the main thread.
///
/// It builds every snapshot, so that no worker ever compiles a route table; workers hear of it through their mailboxes. The files beside
/// this one hold its parts: +Reload, +Upgrade, +Drain, +Admin, +Services, +Logs.
public final class ControlThread {
    let path: String
    let middlewares: [MiddlewareType]
    let version: String
    let log: Log
    let hub: ControlHub
    let resolver: Resolver
    /// What an upgrade starts.
    let program: String
    let generatedName: String
    let limits: ConnectionLimits
    var service: ServiceManager
    /// As it was at the start.
    let environment: [String: String]
    /// Goes into the names of configurations that are told to others, so that nobody can try secrets out on them.
    let digestSalt = randomSeed()
    let startedAt = Timestamp(nanoseconds: Int64(clamping: Clock.realtime))
    let startedInstant = Clock.monotonic
    private let signals: SignalDescriptor
    var listeners: ListenerSet
    var accessLog: LogWriter?
    var registry = InstanceRegistry(workers: 1)
    var store: MetricsStore
    let tls = TLSStore()
    var certificateReloads = CertificateReloads()
    /// When files of certificates are looked at next.
    var certificatesDue = Instant(nanoseconds: 0)
    /// The admin listener in force.
    var adminListener: ListenerRuntime?
    /// What was last heard of services.
    var history = ServiceHistory()
    /// For circuit breakers that an administrator opens.
    var random = RandomSource(seed: randomSeed())
    var configuration: GatewayConfiguration
    /// Where `configuration` comes from.
    var origin: ConfigurationOrigin?
    /// What the data workers serve new requests under.
    var snapshot: GatewaySnapshot
    var generation = 1
    var reload = Reload()
    var upgrade: Upgrade?
    var departure = Departure.none
    var successor = Succession.none
    var drainedWorkers: Set<Int> = []
    var scrape = Scrape()
    private var questions = AdminQueue()
    var lostLines: UInt64 = 0
    private var watchdog: Watchdog?
    private var shortage = ShortageWatch()
    let checker: HealthChecker
    /// Only where the environment asks for it.
    let transitions: TransitionFile?
    /// When something is to be done that would be in the way now.
    var later = Later()

    /// - Throws: one line that says what stands in the way of a start.
    /// - Parameter middlewares: the types that `custom:` may name.
    public init(
        path: String, loaded: LoadResult, version: String, middlewares: [MiddlewareType] = []
    ) throws(StartError) {
        guard let configuration = loaded.configuration else { throw StartError("no configuration") }
        self.path = path
        self.middlewares = middlewares
        self.version = version
        self.configuration = configuration
        origin = loaded.origin
        environment = processEnvironment()
        program = ProgramPath.current
        service = ServiceManager(environment: environment, processID: getpid())
        listeners = ListenerSet(inherited: InheritedSockets(environment: environment, processID: getpid()))
        if let descriptor = environment[Upgrade.readyVariable].flatMap({ Int32($0) }), descriptor > 2 {
            setCloseOnExec(descriptor)
        }
        let errorWriter: LogWriter
        do {
            // First, so that every later thread has the signals blocked.
            signals = try SignalDescriptor()
            hub = try ControlHub()
        } catch {
            throw StartError("cannot start: \(SystemError.text(error.error))")
        }
        errorWriter = try Self.openLog(configuration)
        let log = Log(errorWriter, level: Self.level(configuration))
        self.log = log
        do {
            resolver = try Resolver { host, error in
                if let error {
                    log.warn(
                        "name not found; the last known addresses stay in use", ["host": .string(host), "error": .string(error)])
                } else {
                    log.info("name found again", ["host": .string(host)])
                }
            }
        } catch {
            throw StartError("cannot start: \(SystemError.text(error.error))")
        }
        let descriptors = raiseDescriptorLimit()
        let connections = Self.connectionLimit(configuration, descriptors: descriptors)
        limits = ConnectionLimits(limit: connections)
        if case .fixed(let count) = configuration.limits.connections, count > connections {
            log.warn(
                "limits.connections is more than the limit on descriptors allows",
                ["used": .integer(Int64(connections)), "descriptors": .integer(Int64(descriptors))])
        }
        guard HTTP2Library.isRecentEnough else {
            throw StartError(
                "cannot start: \(HTTP2Library.versionText) is too old; 1.52.0 is needed (Debian 12, package libnghttp2-14)")
        }
        generatedName = "sluice-" + String(UInt16(truncatingIfNeeded: randomSeed()), radix: 16)
        let workers = Self.workerCount(configuration)
        store = MetricsStore(workers: workers + 1)
        registry = InstanceRegistry(workers: workers + 1)
        store.build.version = version
        store.process.start = startedAt
        accessLog = try Self.openAccessLog(configuration)
        let labels = store.adopt(SnapshotBuilder.metricsNames(configuration), generation: 1, at: Clock.monotonic)
        do {
            snapshot = try SnapshotBuilder(
                number: 1, configuration: configuration, places: loaded.places, generatedName: generatedName, version: version,
                seed: randomSeed(), tls: tls, middlewareTypes: middlewares
            ).build(&registry, labels: labels)
        } catch {
            throw StartError(error.diagnostics.map { "\($0)" }.joined(separator: "\n"))
        }
        registry.adopt(configuration, at: Clock.monotonic)
        transitions = try TransitionFile(environment: environment, snapshot)
        do {
            let listener = transitions?.listener("checks")
            checker = try HealthChecker(seed: randomSeed()) { [hub] event in
                listener?(event)
                hub.changed(event)
            }
        } catch {
            throw StartError("cannot start: \(SystemError.text(error.error))")
        }
        hub.onSuspicion { [checker] instance in checker.hurry(instance) }
        try start(loaded, workers: workers)
    }

    private func start(_ loaded: LoadResult, workers: Int) throws(StartError) {
        for warning in loaded.warnings { log.warn("configuration", ["diagnostic": .string("\(warning)")]) }
        let admin: GatewaySnapshot
        do {
            admin = try buildAdmin(configuration, loaded.places, number: 1)
        } catch {
            throw StartError(error.diagnostics.map { "\($0)" }.joined(separator: "\n"))
        }
        let plan: ListenerSet.Plan
        do {
            plan = try listeners.plan(configuration, workers: workers)
        } catch {
            throw StartError(error.description)
        }
        listeners.commit(plan)
        keepCertificates(snapshot, admin)
        for note in plan.notes + listeners.closeUnwanted() { log.warn("handed over", ["note": .string(note)]) }
        resolver.start()
        watchNames(configuration, &registry)
        resolver.waitForFirstAnswers(atMost: Reload.resolveWait)
        for index in 0...workers {
            let isAdmin = index == workers
            do {
                let worker = try Worker(
                    index: index, isAdmin: isAdmin, snapshot: isAdmin ? admin : snapshot,
                    limits: isAdmin ? ConnectionLimits(limit: AdminSnapshot.connectionsMax) : limits, accessLog: accessLog,
                    control: hub,
                    seed: randomSeed(), transitions: isAdmin ? nil : transitions?.log(of: "worker-\(index)"))
                hub.add(worker.mailbox)
                worker.mailbox.post(.listen(plan.opened[index]))
                let box = WorkerBox(worker)
                startThread(name: isAdmin ? "sluice-admin" : "sluice-\(index)") { box.worker.run() }
            } catch {
                throw StartError("cannot start a worker: \(SystemError.text(error.error))")
            }
        }
        store.configuration.generation = UInt64(generation)
        store.configuration.lastSuccess = startedAt
        watchdog = Watchdog(timeout: service.watchdogTimeout, now: Clock.monotonic)
        writeProcessID()
        watchHealth()
        hub.setReady(true)
        log.event(
            .info, "ready",
            [
                "version": .string(version), "workers": .integer(Int64(workers)), "generation": .integer(Int64(generation)),
                "listeners": .string(configuration.listeners.map(\.address.text).joined(separator: " ")),
                "tls": .string(TLSLibrary.versionText), "http2": .string(HTTP2Library.versionText),
                "pid": .integer(Int64(getpid())),
            ])
        Upgrade.sayReady(environment: environment)
        service.ready(statusLine)
        // The manager did not listen to this process before it was told that it is the one.
        if environment[Upgrade.readyVariable] != nil { later.introducesItself = Clock.monotonic + .seconds(1) }
    }

    /// A worker on its way to its thread; nobody else touches it after that.
    private struct WorkerBox: @unchecked Sendable {
        let worker: Worker
        init(_ worker: Worker) { self.worker = worker }
    }

    /// What `systemctl status` shows.
    var statusLine: String {
        let instances = configuration.services.reduce(0) { $0 + $1.instances.count }
        return "generation \(generation), \(configuration.listeners.count) listeners, \(configuration.routes.count) routes, "
            + "\(configuration.services.count) services with \(instances) instances\(openBreakers)"
    }

    /// Serves until a signal ends it; returns when everything has been finished and written.
    public func run() {
        while true {
            wait()
            for message in hub.mailbox.drain() { receive(message) }
            if let next = questions.next() { administer(next.request, next.caller) }
            if scrape.isOpen, Clock.monotonic >= scrape.deadline { finishScrape() }
            while let signal = signals.next() { received(signal) }
            watchCertificates()
            continueReload()
            continueUpgrade()
            if continueDeparture() { return stop() }
            service.flush()
            watchWorkers()
            doWhatWaited()
            if let pressure = shortage.look(at: Clock.monotonic, connections: openConnections) {
                hub.setPressure(pressure)
            }
            log.tick()
            reportLostLines()
        }
    }

    private func wait() {
        var events = [
            pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: hub.mailbox.descriptor, events: Int16(POLLIN), revents: 0),
            // Negative ones are passed over.
            pollfd(fd: upgrade?.descriptor ?? -1, events: Int16(POLLIN), revents: 0),
        ]
        poll(&events, 3, timeout)
    }

    /// Milliseconds until something is to be looked at again.
    private var timeout: Int32 {
        if !questions.isEmpty { return 0 }
        if reload.isResolving { return 5 }
        var milliseconds: Int32 = isBusy ? 50 : 1000
        if let watchdog {
            let left = watchdog.nextRound.since(Clock.monotonic).nanoseconds / 1_000_000
            milliseconds = min(milliseconds, Int32(clamping: left) &+ 1)
        }
        return milliseconds
    }

    private var isBusy: Bool {
        scrape.isOpen || reload.isRunning || departure.isUnderWay || upgrade != nil || service.hasUnsent
    }

    private func received(_ signal: Int32) {
        switch signal {
        case SIGHUP: reload.isWanted = true
        case SIGTERM, SIGINT, SIGQUIT: leave()
        case SIGUSR1: reopenLogs()
        case SIGUSR2: beginUpgrade()
        default: break
        }
    }

    private func receive(_ message: ControlMessage) {
        switch message {
        case .counters(let snapshot, let worker):
            store.receive(snapshot, worker: worker)
            if scrape.received(worker) { finishScrape() }
        case .broken(let message): report(message)
        case .drained(let worker):
            drainedWorkers.insert(worker)
            if watchdog?.ended(worker: worker) == true { service.alive() }
        case .render(let sink, let point, let openMetrics):
            gather(Scrape.Waiting(sink: sink, point: point, purpose: .metrics(openMetrics: openMetrics)))
        case .administer(let request, let sink, let point):
            questions.add(request, AdminCaller(request, sink: sink, point: point))
        case .adopted(let number, let worker): reload.adopted(number, worker: worker)
        case .released(let snapshot) where snapshot.routeCount > 500: later.trimsMemory = Clock.monotonic + .seconds(1)
        case .released: break
        case .beat(let worker):
            if watchdog?.beat(worker: worker) == true { service.alive() }
        case .event(let event): receive(event)
        }
    }

    /// Workers that have not ended.
    var runningWorkers: Set<Int> { Set(0..<hub.workerCount).subtracting(drainedWorkers) }

    private func doWhatWaited() {
        let now = Clock.monotonic
        if now >= later.introducesItself {
            later.introducesItself = .never
            service.ready(statusLine)
        }
        if now >= later.trimsMemory {
            later.trimsMemory = .never
            trimMemory()
        }
    }

    private func watchWorkers() {
        guard watchdog?.roundIsDue(at: Clock.monotonic, workers: runningWorkers) == true else { return }
        hub.postToAll(.beat)
    }

    /// Asks the workers for their counters, and answers once they are here.
    func gather(_ request: Scrape.Waiting) {
        let workers = runningWorkers
        let asks = scrape.add(request, workers: workers)
        if workers.isEmpty { finishScrape() } else if asks { hub.postToAll(.report) }
    }

    private func finishScrape() {
        ProcessReading.fill(&store.process)
        store.process.logLinesLost = log.droppedLines
        for waiting in scrape.close() {
            switch waiting.purpose {
            case .metrics(let openMetrics):
                var text = ByteBuffer(capacity: 65_536)
                store.services = readings
                store.certificates = certificateReadings
                PrometheusText.render(&store, at: Clock.monotonic, openMetrics: openMetrics, into: &text)
                let answer = Answer(
                    status: 200, fields: [("Cache-Control", "no-store")], body: text.bytes.array(),
                    contentType: "\(PrometheusText.contentType(openMetrics: openMetrics))")
                waiting.sink.resume(waiting.point, with: .answer(answer))
            case .admin(let question, let caller): caller.answer(answer(question))
            }
        }
    }

    func buildAdmin(
        _ next: GatewayConfiguration, _ places: LoadResult.Places, number: Int
    ) throws(BuildError) -> GatewaySnapshot {
        try AdminSnapshot.build(next, places: places, number: number, generatedName: generatedName, version: version, tls: tls)
    }

    func watchNames(_ configuration: GatewayConfiguration, _ registry: inout InstanceRegistry) {
        resolver.watch(
            configuration.services.flatMap { service in
                service.instances.map {
                    ($0, service.resolveInterval, registry.instance($0, of: service, at: Clock.monotonic))
                }
            })
    }

    private var openConnections: Int {
        limits.count + snapshot.services.reduce(0) { $0 + $1.instances.reduce(0) { $0 + $1.slots.openCount } }
    }

    /// From now on the instances of the configuration in force are checked.
    func watchHealth() {
        let breakers = Dictionary(grouping: snapshot.breakers, by: \.service)
        checker.watch(
            zip(configuration.services, snapshot.services).map { configured, service in
                WatchedService(
                    state: service.state, breakers: breakers[service.name] ?? [], health: configured.health,
                    check: configured.enabled ? configured.check : nil,
                    instances: service.instances.indices.map {
                        .init(
                            state: service.instances[$0], authority: service.authorities[$0], dialect: service.dialects[$0])
                    })
            })
    }

    static func level(_ configuration: GatewayConfiguration) -> Telemetry.LogLevel {
        switch configuration.server.logLevel {
        case .debug: .debug
        case .info: .info
        case .warn: .warn
        case .error: .error
        }
    }

    static func workerCount(_ configuration: GatewayConfiguration) -> Int {
        switch configuration.server.workers {
        case .automatic: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        case .fixed(let count): count
        }
    }

    /// 80 % of the descriptors, less what the upstream pools may take; never less than half of them.
    static func connectionLimit(_ configuration: GatewayConfiguration, descriptors: Int) -> Int {
        switch configuration.limits.connections {
        // Some are needed to say that there are no more.
        case .fixed(let count): return min(count, max(16, descriptors - descriptors / 8 - 16))
        case .automatic:
            let upstream = configuration.services.reduce(0) { $0 + $1.instances.count * min($1.pool.maxConnections, 1 << 20) }
            let most = descriptors / 5 * 4
            return max(16, max(most / 2, most - upstream))
        }
    }
}

/// What the control thread does when it has the time.
struct Later {
    /// Says again what it is, after an upgrade.
    var introducesItself = Instant.never
    /// Gives memory of past configurations back to the kernel.
    var trimsMemory = Instant.never
}

/// What stands in the way of a start, for standard error.
public struct StartError: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

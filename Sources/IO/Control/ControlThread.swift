import Configuration
import ConfigurationFile
import Downstream
import Glibc
import Logs
import Pipeline
import Primitives
import Proxy
import Reactor
import Synchronization
import Telemetry
import Upstream

/// What is told to the control thread.
enum ControlMessage: Sendable {
    case counters(MetricsSnapshot, worker: Int)
    case drained(worker: Int)
    case broken(BrokenMessage)
    case render(any ResumptionSink, SuspensionPoint, openMetrics: Bool)
}

/// The process but for its workers: signals, configuration, names, counters. Runs on the main thread.
///
/// It builds every snapshot, so that no worker ever compiles a route table; workers hear of it through their mailboxes.
public final class ControlThread {
    /// How long the first look-ups of names may hold up the start or a reload.
    private static var resolveWait: TimeAmount { .seconds(2) }

    private let path: String
    private let version: String
    private let log: Log
    private let signals: SignalDescriptor
    private let hub: ControlHub
    private let resolver: Resolver
    private let generatedName: String
    private let limits: ConnectionLimits
    private var listeners = ListenerSet()
    private var accessLog: LogWriter?
    private var registry = InstanceRegistry()
    private var store: MetricsStore
    private var configuration: GatewayConfiguration
    private var generation = 0
    private var drainedWorkers: Set<Int> = []
    private var scrape = Scrape()
    private var lostLines: UInt64 = 0

    /// - Throws: one line that says what stands in the way of a start.
    public init(path: String, loaded: LoadResult, version: String) throws(StartError) {
        guard let configuration = loaded.configuration else { throw StartError("no configuration") }
        self.path = path
        self.version = version
        self.configuration = configuration
        do {
            // First, so that every later thread has the signals blocked.
            signals = try SignalDescriptor()
            hub = try ControlHub()
            let errorWriter = try LogWriter(.standardError)
            let log = Log(errorWriter, level: Self.level(configuration))
            self.log = log
            resolver = try Resolver { host, error in
                if let error {
                    log.warn(
                        "name not found; the last known addresses stay in use", ["host": .string(host), "error": .string(error)])
                } else {
                    log.info("name found again", ["host": .string(host)])
                }
            }
        } catch {
            throw StartError("cannot start: \(error)")
        }
        let descriptors = raiseDescriptorLimit()
        limits = ConnectionLimits(limit: Self.connectionLimit(configuration, descriptors: descriptors))
        generatedName = "sluice-" + String(UInt16(truncatingIfNeeded: randomSeed()), radix: 16)
        let workers = Self.workerCount(configuration)
        store = MetricsStore(workers: workers + 1)
        store.build.version = version
        store.process.start = Timestamp(nanoseconds: Int64(clamping: Clock.realtime))
        accessLog = try Self.openAccessLog(configuration)
        try start(loaded, workers: workers)
    }

    private func start(_ loaded: LoadResult, workers: Int) throws(StartError) {
        for warning in loaded.warnings { log.warn("configuration", ["diagnostic": .string("\(warning)")]) }
        let snapshot: GatewaySnapshot
        let admin: GatewaySnapshot
        do {
            snapshot = try build(configuration, loaded.places)
            admin = try buildAdmin(configuration)
        } catch {
            throw StartError(error.diagnostics.map { "\($0)" }.joined(separator: "\n"))
        }
        let opened: [[OpenListener]]
        do {
            opened = try listeners.open(configuration, workers: workers)
        } catch {
            throw StartError(error.description)
        }
        resolver.start()
        watchNames(configuration)
        resolver.waitForFirstAnswers(atMost: Self.resolveWait)
        for index in 0...workers {
            let isAdmin = index == workers
            do {
                let worker = try Worker(
                    index: index, isAdmin: isAdmin, snapshot: isAdmin ? admin : snapshot,
                    limits: isAdmin ? ConnectionLimits(limit: 256) : limits, accessLog: accessLog, control: hub,
                    seed: randomSeed())
                hub.add(worker.mailbox)
                worker.mailbox.post(.listen(opened[index]))
                let box = WorkerBox(worker)
                startThread(name: isAdmin ? "sluice-admin" : "sluice-\(index)") { box.worker.run() }
            } catch {
                throw StartError("cannot start a worker: \(SystemError.text(error.error))")
            }
        }
        store.configuration.generation = UInt64(generation)
        store.configuration.lastSuccess = Timestamp(nanoseconds: Int64(clamping: Clock.realtime))
        hub.setReady(true)
        log.info(
            "ready",
            [
                "version": .string(version), "workers": .integer(Int64(workers)), "generation": .integer(Int64(generation)),
                "listeners": .string(configuration.listeners.map(\.address.text).joined(separator: " ")),
            ])
    }

    /// A worker on its way to its thread; nobody else touches it after that.
    private struct WorkerBox: @unchecked Sendable {
        let worker: Worker
        init(_ worker: Worker) { self.worker = worker }
    }

    /// Serves until a signal ends it; returns when everything has been finished and written.
    public func run() {
        var drainEnd: Instant?
        while true {
            var events = [
                pollfd(fd: signals.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: hub.mailbox.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            poll(&events, 2, scrape.isOpen || drainEnd != nil ? 50 : 1000)
            for message in hub.mailbox.drain() { receive(message) }
            if scrape.isOpen, Clock.monotonic >= scrape.deadline { finishScrape() }
            var reloads = false
            while let signal = signals.next() {
                switch signal {
                case SIGHUP: reloads = true
                case SIGTERM, SIGINT, SIGQUIT:
                    if drainEnd != nil {
                        log.warn("stopped at once", [:])
                        return stop()
                    }
                    drainEnd = beginDrain()
                case SIGUSR1: reopenLogs()
                default: break
                }
            }
            if reloads, drainEnd == nil { reload() }
            if let end = drainEnd, drainedWorkers.count == hub.workerCount - 1 || Clock.monotonic >= end + .seconds(1) {
                return stop()
            }
            reportLostLines()
        }
    }

    private func receive(_ message: ControlMessage) {
        switch message {
        case .counters(let snapshot, let worker):
            store.receive(snapshot, worker: worker)
            if scrape.received(worker) { finishScrape() }
        case .broken(let message): report(message)
        case .drained(let worker): drainedWorkers.insert(worker)
        case .render(let sink, let point, let openMetrics):
            if scrape.add(sink, point, openMetrics: openMetrics, workers: hub.workerCount) { hub.postToAll(.report) }
        }
    }

    private func report(_ message: BrokenMessage) {
        // Not valid UTF-8, most of it: the log escapes what is no text.
        let bytes = LogValue.string(String(decoding: message.bytes, as: UTF8.self))
        let suppressed = LogValue.integer(Int64(message.suppressed))
        let rule = LogValue.string("\(message.rule)")
        switch message.sender {
        case .client(let peer):
            log.warn("request refused", ["rule": rule, "peer": .string(peer.text), "bytes": bytes, "suppressed": suppressed])
        case .backend(let name):
            log.warn(
                "answer of a backend refused",
                ["rule": rule, "instance": .string(name), "bytes": bytes, "suppressed": suppressed])
        }
    }

    private func finishScrape() {
        ProcessReading.fill(&store.process)
        for waiting in scrape.close() {
            var text = ByteBuffer(capacity: 65_536)
            PrometheusText.render(&store, at: Clock.monotonic, openMetrics: waiting.openMetrics, into: &text)
            let answer = Answer(
                status: 200, fields: [("Cache-Control", "no-store")], body: text.bytes.array(),
                contentType: "\(PrometheusText.contentType(openMetrics: waiting.openMetrics))")
            waiting.sink.resume(waiting.point, with: .answer(answer))
        }
    }

    /// Reads the file again. Nothing of it counts unless all of it is right.
    private func reload() {
        let loaded = ConfigurationLoader.load(path: path)
        for warning in loaded.warnings { log.warn("configuration", ["diagnostic": .string("\(warning)")]) }
        guard let next = loaded.configuration else { return reloadFailed(loaded.errors.map { "\($0)" }) }
        guard next != configuration else {
            reloadSucceeded()
            accessLog?.reopen()
            return log.info("reloaded", ["generation": .integer(Int64(generation)), "changed": false])
        }
        let snapshot: GatewaySnapshot
        let admin: GatewaySnapshot
        let opened: [[OpenListener]]
        do {
            snapshot = try build(next, loaded.places)
            admin = try buildAdmin(next)
        } catch {
            return reloadFailed(error.diagnostics.map { "\($0)" })
        }
        let isLogMoved = next.accessLog.output != configuration.accessLog.output
        let newLog: LogWriter?
        do {
            newLog = isLogMoved ? try Self.openAccessLog(next) : accessLog
        } catch {
            return reloadFailed(["\(loaded.places.accessLog.mark): error: \(error.description)"])
        }
        do {
            opened = try listeners.open(next, workers: hub.workerCount - 1)
        } catch {
            if isLogMoved { newLog?.stop() }
            return reloadFailed(["\(error.place(in: loaded.places))\(error.description)"])
        }
        limits.setLimit(Self.connectionLimit(next, descriptors: raiseDescriptorLimit()))
        warnOfWhatStays(next)
        watchNames(next)
        resolver.waitForFirstAnswers(atMost: Self.resolveWait)
        for (index, sockets) in opened.enumerated() {
            hub.post(.adopt(index == opened.count - 1 ? admin : snapshot), to: index)
            hub.post(.listen(sockets), to: index)
        }
        if isLogMoved { moveAccessLog(to: newLog) } else { accessLog?.reopen() }
        configuration = next
        registry.adopt(next)
        log.setLevel(Self.level(next))
        reloadSucceeded()
        log.info("reloaded", ["generation": .integer(Int64(generation)), "changed": true])
    }

    private func reloadSucceeded() {
        store.configuration.reloadsSucceeded += 1
        store.configuration.lastReloadSucceeded = true
        store.configuration.generation = UInt64(generation)
        store.configuration.lastSuccess = Timestamp(nanoseconds: Int64(clamping: Clock.realtime))
    }

    private func reloadFailed(_ lines: [String]) {
        store.configuration.reloadsFailed += 1
        store.configuration.lastReloadSucceeded = false
        for line in lines { log.error("reload failed", ["diagnostic": .string(line), "path": .string(path)]) }
    }

    /// Changes that only a restart can bring about.
    private func warnOfWhatStays(_ next: GatewayConfiguration) {
        if Self.workerCount(next) != hub.workerCount - 1 { log.warn("server.workers takes effect after a restart", [:]) }
    }

    /// The old log gets what the workers still hold for it, and ends.
    private func moveAccessLog(to new: LogWriter?) {
        let old = accessLog
        accessLog = new
        lostLines = new?.droppedLines ?? 0
        hub.postToAll(.log(new))
        old?.stop(afterMilliseconds: 2000)
    }

    private func build(_ next: GatewayConfiguration, _ places: LoadResult.Places) throws(BuildError) -> GatewaySnapshot {
        let labels = store.adopt(SnapshotBuilder.metricsNames(next), generation: UInt64(generation + 1), at: Clock.monotonic)
        let snapshot = try SnapshotBuilder(
            number: generation + 1, configuration: next, places: places, generatedName: generatedName, version: version,
            seed: randomSeed()
        ).build(&registry, labels: labels)
        generation += 1
        return snapshot
    }

    private func buildAdmin(_ next: GatewayConfiguration) throws(BuildError) -> GatewaySnapshot {
        try AdminSnapshot.build(next, number: generation, generatedName: generatedName, version: version)
    }

    private func watchNames(_ configuration: GatewayConfiguration) {
        resolver.watch(
            configuration.services.flatMap { service in
                service.instances.map { ($0, service.resolveInterval, registry.instance($0, of: service)) }
            })
    }

    private func beginDrain() -> Instant {
        hub.setReady(false)
        let end = Clock.monotonic + configuration.server.drainTimeout
        log.info("draining", ["timeout_ms": .integer(Int64(clamping: configuration.server.drainTimeout.nanoseconds / 1_000_000))])
        for index in 0..<(hub.workerCount - 1) { hub.post(.drain(until: end), to: index) }
        return end
    }

    private func stop() {
        listeners.removeFiles()
        log.info("stopped", [:])
        accessLog?.finish(milliseconds: 1000)
        log.finish()
    }

    private func reopenLogs() {
        accessLog?.reopen()
        log.info("log files reopened", [:])
    }

    private func reportLostLines() {
        guard let lost = accessLog?.droppedLines, lost > lostLines else { return }
        log.warn("access log lines were lost", ["lines": .integer(Int64(clamping: lost - lostLines))])
        lostLines = lost
    }

    private static func openAccessLog(_ configuration: GatewayConfiguration) throws(StartError) -> LogWriter? {
        do {
            switch configuration.accessLog.output {
            case .off: return nil
            case .standardOutput: return try LogWriter(.standardOutput)
            case .standardError: return try LogWriter(.standardError)
            case .file(let path): return try LogWriter(.file(path))
            }
        } catch {
            throw StartError("access_log.output: cannot open \(error.path): \(SystemError.text(error.error))")
        }
    }

    private static func level(_ configuration: GatewayConfiguration) -> Telemetry.LogLevel {
        switch configuration.server.logLevel {
        case .debug: .debug
        case .info: .info
        case .warn: .warn
        case .error: .error
        }
    }

    private static func workerCount(_ configuration: GatewayConfiguration) -> Int {
        switch configuration.server.workers {
        case .automatic: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        case .fixed(let count): count
        }
    }

    /// 80 % of the descriptors, less what the upstream pools may take; never less than half of them.
    private static func connectionLimit(_ configuration: GatewayConfiguration, descriptors: Int) -> Int {
        switch configuration.limits.connections {
        case .fixed(let count): return count
        case .automatic:
            let upstream = configuration.services.reduce(0) { $0 + $1.instances.count * min($1.pool.maxConnections, 1 << 20) }
            let most = descriptors / 5 * 4
            return max(16, max(most / 2, most - upstream))
        }
    }
}

/// What stands in the way of a start, for standard error.
public struct StartError: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

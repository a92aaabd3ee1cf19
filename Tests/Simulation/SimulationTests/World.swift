import Configuration
import ConfigurationFile
@testable import Control
import Downstream
import Glibc
@testable import HealthChecks
import Logs
import Pipeline
import Primitives
@testable import Proxy
@testable import Reactor
import Resilience
import Synchronization
@testable import Telemetry
import Upstream

/// One run: a gateway of one or two workers, its clients, its backends, and what is allowed to go wrong between them. All of it follows from
/// the seed.
final class World {
    let seed: UInt64
    let network: VirtualNetwork
    var scenario: Scenario
    var trials: [Int: Trial] = [:]
    var answered = 0
    /// Requests that got no answer since the one before them rightly was the last.
    var voided = 0
    /// What went wrong, first things first.
    private(set) var violations: [String] = []
    private var workers: [Worker] = []
    private var pollers: [Int32] = []
    private var listeners: [VirtualListener] = []
    private var clients: [SimulatedClient] = []
    private let planned: [ClientPlan]?
    let control: SimulatedControl
    private let limits: ConnectionLimits
    private var registry: InstanceRegistry
    private var store = MetricsStore(workers: 2)
    private var states: [InstanceState] = []
    private var services: [ServiceState] = []
    private var backendCount = 0
    private var isDraining = false
    private var reloads = 0
    private var turns = 0
    private var drainEnd: UInt64 = .max
    private static let accessLog: LogWriter? = {
        do { return try LogWriter(.file("/dev/null")) } catch { return nil }
    }()

    /// How long the gateway waits for a client or a backend to go on.
    var patience: UInt64 { 4_000_000_000 }
    var backendsCloseIdle: Bool { scenario.backendsCloseIdle }
    var stagesHang: Bool { scenario.stagesHang }

    // Of a storm; see World+Storm.
    var conditions: [Int: Condition] = [:]
    var rules = TransitionRules(halfOpenMax: Scenario.halfOpenMax)
    var loggedServices: Set<String> = []
    var keepsTransitions = false
    var transitionLines = ""
    var checks: CheckLoop?
    var checkPoller: Int32 = -1
    var checkCount = 0
    var checkedInstances: [CheckedInstance] = []
    let checkMailbox: Mailbox<CheckMessage>

    /// - Parameter plan: what the run is like and what its clients do; without one the seed says that too.
    convenience init(seed: UInt64, plan: (scenario: Scenario, clients: [ClientPlan])? = nil) {
        self.init(seed: seed, network: VirtualNetwork(seed: seed), plan)
    }

    /// A run in which instances fail.
    convenience init(storm seed: UInt64) {
        let network = VirtualNetwork(seed: seed)
        self.init(seed: seed, network: network, (Scenario(stormFrom: network), nil))
    }

    private init(seed: UInt64, network: VirtualNetwork, _ plan: (scenario: Scenario, clients: [ClientPlan]?)?) {
        self.seed = seed
        self.network = network
        registry = InstanceRegistry(workers: 2) { [network] in network.random.next() }
        scenario = plan?.scenario ?? Scenario(drawnFrom: network)
        planned = plan?.clients
        if let planned { scenario.clientCount = planned.count }
        control = SimulatedControl()
        do { checkMailbox = try Mailbox() } catch { preconditionFailure("no descriptor is left") }
        limits = ConnectionLimits(limit: 1_000)
        network.faults = scenario.networkFaults
    }

    /// Prints what happens, for whoever looks into a seed.
    let isTracing = getenv("SLUICE_SIM_TRACE") != nil

    func trace(_ text: @autoclosure () -> String) {
        if isTracing { print("\(Double(network.now - 1_000_000_000_000) / 1e9) \(text())") }
    }

    func violation(_ text: String) {
        violations.append("\(Double(network.now - 1_000_000_000_000) / 1e9) s: \(text)")
    }

    // What may happen to a request.

    /// - Returns: nil when the gateway had a reason to answer in the backend's place as it did.
    func refuses(_ trial: Trial, _ head: MessageHead, clientIsAtFault: Bool) -> String? {
        if scenario.isStorm, (502...504).contains(head.status) { return nil }
        let isAllowed =
            switch head.status {
            case 400: trial.isMalformed
            case 413: trial.isTooLarge
            case 408: clientIsAtFault
            case 418: trial.stageAnswers
            case 502: mayFail(trial)
            case 503: scenario.isScarce || isDraining || hasTrouble
            case 504:
                trial.behaviour == .hang || trial.behaviour == .stall || trial.stageHangs || scenario.connectsHang
                    || clientIsAtFault
                    || scenario.requestTimeout
            default: false
            }
        return isAllowed ? nil : "\(head.start) for tag \(trial.tag) (\(trial.method), \(trial.behaviour)) without a reason"
    }

    private func mayFail(_ trial: Trial) -> Bool {
        if scenario.connectsFail || scenario.backendsSayMore { return true }
        switch trial.behaviour {
        case .closeBeforeHead, .resetBeforeHead, .truncate, .breakChunk, .garbage, .hugeHead, .switchProtocols, .endlessInterims:
            return true
        case .answer, .answerEarly, .answerDuplex, .answerAndMore, .hang, .stall: break
        }
        // The keep-alive race: only what may be sent twice is.
        return scenario.backendsCloseIdle && (!trial.isIdempotent || trial.requestBytes > 0 || trial.framing == .chunked)
    }

    /// Whether the gateway may break the connection off instead of answering, or in the middle of it.
    /// - Parameter bytesBehindHead: what the client sends behind the request's head.
    func mayBreak(_ trial: Trial, clientIsAtFault: Bool, bytesBehindHead: Int) -> Bool {
        if clientIsAtFault || network.now >= drainEnd || scenario.requestTimeout || scenario.isStorm { return true }
        switch trial.behaviour {
        case .truncate, .breakChunk, .stall: return true
        // Closing over the rest of the request resets.
        case .answerEarly where trial.requestBytes > 0 && trial.closesBackend: return true
        default: break
        }
        // Of what is sent behind the last answer, only so much is read (RFC 9112 §9.6).
        return bytesBehindHead > 60_000
    }

    private var drainTime: UInt64 { 5_000_000_000 }

    // The run.

    /// - Returns: what went wrong; empty when nothing did.
    func run() -> [String] {
        if isTracing {
            network.calls = []
            trace("\(scenario)")
        }
        network.whileCurrent {
            do {
                try build()
            } catch {
                return violation("the configuration is wrong: \(error)")
            }
            while workers.contains(where: { $0.phase != .stopped }) {
                if turns > 400_000 {
                    violation("the gateway never comes to an end")
                    break
                }
                turn()
                if !violations.isEmpty || !network.violations.isEmpty { break }
                if !isDraining, clients.allSatisfy(\.isDone), allHaveCome { drain() }
            }
            if violations.isEmpty && network.violations.isEmpty {
                for worker in workers { worker.closeEverything() }
                endChecks()
                checkEnd()
            }
        }
        network.end()
        return violations + network.violations
    }

    private var allHaveCome: Bool { clients.count == scenario.clientCount }

    private func turn() {
        var hadEvents = false
        for (index, worker) in workers.enumerated() where worker.phase != .stopped {
            worker.turn(timeout: 1_000)
            if isTracing { for line in network.takeCalls() { trace("worker \(index): \(line)") } }
            hadEvents = hadEvents || network.returnedEvents
            check(worker)
            network.passTime(network.upTo(20_000))
            if worker.phase == .stopped { network.forgetWakeTime(pollers[index]) }
        }
        turnChecks()
        hadEvents = hadEvents || checks != nil && network.returnedEvents
        if !hadEvents, workers.contains(where: { $0.phase != .stopped }) { network.advance() }
    }

    /// An instance has been taken out, or a breaker has opened.
    private(set) var hasTrouble = false

    func changed(_ event: ServiceEvent) {
        switch event {
        case .breaker(_, _, let transition): if transition.to == .open { hasTrouble = true }
        case .health(_, let change): if change.to == .failed { hasTrouble = true }
        case .ejected: hasTrouble = true
        case .returned, .checked: break
        }
        guard scenario.isStorm else { return }
        for mailbox in control.mailboxes { mailbox.post(.slotFreed) }
        signalMailboxes()
    }

    /// As the thread that checks is told.
    func suspected(_ instance: InstanceState) {
        guard checks != nil, instance.raiseHurry() else { return }
        checkMailbox.post(.hurry(instance))
        network.signalMailbox(checkPoller)
    }

    func signalMailboxes() { for poller in pollers { network.signalMailbox(poller) } }

    private func build() throws {
        network.connect = { [unowned self] in connect($0, $1) }
        let first = try snapshot(variant: 0)
        control.world = self
        if scenario.isStorm { openTransitions(first) }
        for index in 0..<scenario.workerCount {
            let worker = try Worker(
                index: index, isAdmin: false, snapshot: first, limits: limits, accessLog: Self.accessLog, control: control,
                seed: network.random.next(), calls: VirtualNetwork.calls,
                transitions: scenario.isStorm ? transitions(of: "worker-\(index)") : nil)
            workers.append(worker)
            control.mailboxes.append(worker.mailbox)
            pollers.append(network.lastPoller)
            let listener = network.listen()
            listeners.append(listener)
            worker.mailbox.post(
                .listen([
                    OpenListener(
                        address: first.listeners[0].address,
                        socket: ListeningSocket(
                            descriptor: listener.descriptor, address: SocketAddress(IPAddress(v4: 0x7f00_0001), port: 8000)))
                ]))
        }
        signalMailboxes()
        if scenario.isStorm { try beginStorm(first) }
        planClients()
        planReloads()
        if scenario.drainsEarly { network.after(network.upTo(2_000_000_000)) { [unowned self] in drain() } }
    }

    private func snapshot(variant: Int) throws -> GatewaySnapshot {
        let loaded = ConfigurationLoader.load(text: scenario.configuration(variant: variant), name: "sim.yaml", environment: [:])
        guard let configuration = loaded.configuration else { throw SetupError(text: "\(loaded.errors)") }
        let labels = store.adopt(
            SnapshotBuilder.metricsNames(configuration), generation: UInt64(reloads + 1), at: Instant(nanoseconds: network.now))
        let snapshot = try SnapshotBuilder(
            number: reloads + 1, configuration: configuration, places: loaded.places, generatedName: "sim", version: "1",
            seed: network.random.next(),
            stages: ["staged": (0..<scenario.stageCount).map { .custom(SuspendingStage(self, number: $0)) }]
        ).build(&registry, labels: labels, at: Instant(nanoseconds: network.now))
        registry.adopt(configuration, at: Instant(nanoseconds: network.now))
        for service in snapshot.services {
            services.append(service.state)
            states += service.instances
        }
        return snapshot
    }

    struct SetupError: Error { let text: String }

    private func planClients() {
        var tag = 0
        for number in 0..<scenario.clientCount {
            let plan = planned?[number] ?? scenario.drawClient(network, tag: &tag)
            for trial in plan.trials { trials[trial.tag] = trial }
            network.after(plan.arrival ?? network.upTo(scenario.arrivalSpread)) { [unowned self] in
                let client = SimulatedClient(self, number: number, address: 0x0a01_0000 + UInt32(number), plan: plan)
                clients.append(client)
                arrive(client)
            }
        }
    }

    private func arrive(_ client: SimulatedClient) {
        guard !isDraining else {
            // Nobody listens any more.
            client.link.add(.call { client.refused() })
            return
        }
        network.pick(listeners).backlog.append(client.link)
        client.opened(client.link)
    }

    private func planReloads() {
        for _ in 0..<scenario.reloadCount {
            network.after(network.upTo(scenario.arrivalSpread * 2)) { [unowned self] in
                guard !isDraining else { return }
                reloads += 1
                do {
                    let next = try snapshot(variant: reloads % 3)
                    for mailbox in control.mailboxes { mailbox.post(.adopt(next)) }
                    signalMailboxes()
                } catch {
                    violation("a reload is wrong: \(error)")
                }
            }
        }
    }

    private func drain() {
        guard !isDraining else { return }
        isDraining = true
        drainEnd = network.now + drainTime
        for mailbox in control.mailboxes { mailbox.post(.drain(until: Instant(nanoseconds: drainEnd))) }
        signalMailboxes()
    }

    private func connect(_ low: UInt64, _ port: UInt16) -> Result<Link, VirtualNetwork.ConnectError> {
        if network.isChecking { return connectCheck(Int(low & 0xff)) }
        if scenario.connectsFail, network.oneIn(15) { return .failure(.init(number: network.pick([101, 113, 99]))) }
        backendCount += 1
        let instance = Int(low & 0xff)
        let backend = SimulatedBackend(self, instance: instance, number: backendCount)
        let link = backend.link!
        backends.append(backend)
        let open = network.openLinks.count { ($0.endpoint as? SimulatedBackend)?.instance == instance }
        if open + 1 > scenario.poolMaximum { violation("\(open + 1) connections to instance \(instance)") }
        if scenario.isStorm {
            let fails = condition(of: instance) == .dead || scenario.connectsFail && network.oneIn(6)
            complete(link, fails: fails, instance: instance) { backend.opened(link) }
            return .success(link)
        }
        link.isConnecting = true
        let fails = scenario.connectsFail && network.oneIn(6)
        if scenario.connectsHang, network.oneIn(8) { return .success(link) }
        let delay: UInt64 = scenario.connectDelay ?? network.upTo(network.pick([0, 100_000, 5_000_000]))
        let outcome = { [network] in
            guard !link.isClosed else { return }
            link.isConnecting = false
            if fails {
                link.endpointClosed = true
                link.refuse()
            } else {
                backend.opened(link)
            }
            link.isReady = true
            _ = network
        }
        if delay == 0 { outcome() } else { network.after(delay, outcome) }
        return .success(link)
    }

    /// Keeps those alive whom only their links know.
    private var backends: [SimulatedBackend] = []

    // Invariants.

    /// Output that waits for one connection, at most: a full read of the other side, framed, and a head.
    private static var pendingMaximum: Int { 200 * 1024 }

    private func check(_ worker: Worker) {
        let live = worker.clients.liveCount + worker.backends.liveCount + worker.exchanges.liveCount + worker.listeners.count
        if worker.timers.count > live { violation("\(worker.timers.count) timers for \(live) things") }
        // Who holds much holds it for a while.
        turns += 1
        guard turns % 25 == 0 else { return }
        for i in 0..<worker.clients.capacity where worker.clients.isTaken(i) {
            let client = worker.clients.pointer(i)
            if client.pointee.outgoing.count > Self.pendingMaximum || client.pointee.input.count > Self.pendingMaximum {
                violation("a client's connection holds \(client.pointee.outgoing.count) + \(client.pointee.input.count) bytes")
            }
        }
        for i in 0..<worker.backends.capacity where worker.backends.isTaken(i) {
            let backend = worker.backends.pointer(i)
            if backend.pointee.outgoing.count > Self.pendingMaximum || backend.pointee.input.count > Self.pendingMaximum {
                violation("a backend's connection holds \(backend.pointee.outgoing.count) + \(backend.pointee.input.count) bytes")
            }
        }
    }

    private func checkEnd() {
        network.runDue()
        for (index, worker) in workers.enumerated() {
            for (what, count) in [
                ("clients", worker.clients.liveCount), ("backends", worker.backends.liveCount),
                ("exchanges", worker.exchanges.liveCount),
                ("timers", worker.timers.count - worker.listeners.count { $0.isPaused }),
            ] where count != 0 { violation("worker \(index) is left with \(count) \(what)") }
            store.receive(worker.metrics.snapshot(), worker: index)
        }
        if network.openDescriptors != 0 {
            violation("\(network.openDescriptors) descriptors are left open: \(network.openLinks.map(\.name))")
        }
        if limits.count != 0 { violation("\(limits.count) clients are still counted") }
        for state in states where state.load.inFlight != 0 {
            violation("\(state.load.inFlight) requests to \(state.key.address) are still counted")
        }
        for service in services {
            if service.load.inFlight != 0 { violation("\(service.load.inFlight) requests to \(service.name) are still counted") }
            if service.budget.retriesInFlight != 0 { violation("\(service.budget.retriesInFlight) retries are still counted") }
            let probes = service.breaker.shared.snapshot.probesInFlight
            if probes != 0 { violation("\(probes) probes were not given back") }
        }
        for state in states where state.slots.openCount != 0 {
            violation("\(state.slots.openCount) slots of \(state.key.address) are taken")
        }
        for service in services where service.waitingCount != 0 { violation("\(service.waitingCount) requests still wait") }
        if scenario.isStorm {
            rules.end()
            for problem in rules.violations { violation(problem) }
        }
        checkGauges()
        if isTooQuiet { violation("only \(answered) answers for \(trials.count) requests in a run without faults") }
    }

    /// Where nothing goes wrong, everybody gets an answer.
    private var isTooQuiet: Bool { scenario.isCalm && answered + voided != trials.count }

    private func checkGauges() {
        var text = ByteBuffer(capacity: 65_536)
        PrometheusText.render(&store, at: Instant(nanoseconds: network.now), openMetrics: false, into: &text)
        for line in String(decoding: text.unsafeBytes, as: UTF8.self).split(separator: "\n") where !line.hasPrefix("#") {
            for gauge in [
                "sluice_http_requests_in_flight", "sluice_upstream_connections{", "sluice_upstream_queue_length",
                "sluice_connections{",
            ]
            where line.hasPrefix(gauge) && !line.hasSuffix(" 0") {
                violation("a gauge is not zero at the end: \(line)")
            }
        }
    }
}

/// The control thread's place: hands on what workers tell each other.
final class SimulatedControl: WorkerControl, @unchecked Sendable {
    weak var world: World?
    var mailboxes: [Mailbox<WorkerMessage>] = []

    var isReady: Bool { true }

    func slotFreed(worker: Int) {
        mailboxes[worker].post(.slotFreed)
        world?.signalMailboxes()
    }

    func received(_ snapshot: MetricsSnapshot, worker: Int) {}

    func broken(_ message: BrokenMessage) {}

    func giveBack(_ instance: InstanceState, for worker: Int) {
        for index in mailboxes.indices where index != worker { mailboxes[index].post(.giveBack(instance)) }
        world?.signalMailboxes()
    }
    func drained(worker: Int) {}
    func renderMetrics(for sink: any ResumptionSink, _ point: SuspensionPoint, openMetrics: Bool) {}
    func administer(_ request: AdminRequest, for sink: any ResumptionSink, _ point: SuspensionPoint) {}
    func adopted(_ number: Int, worker: Int) {}
    func released(_ snapshot: GatewaySnapshot) {}
    func beat(worker: Int) {}
    var pressure: LoadShedder.Pressure { .none }
    func changed(_ event: ServiceEvent) { world?.changed(event) }
    func suspected(_ instance: InstanceState) { world?.suspected(instance) }
}

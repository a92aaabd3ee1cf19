import Pipeline
import Primitives
import Proxy
import Reactor
import Resilience
import Synchronization
import Telemetry
import Upstream

/// The way between the workers and the control thread, in both directions.
final class ControlHub: WorkerControl {
    let mailbox: Mailbox<ControlMessage>
    private let workers = Mutex<[Mailbox<WorkerMessage>]>([])
    private let ready = Atomic<Bool>(false)
    private let shortage = Atomic<UInt8>(0)
    private let suspicion = Mutex<(@Sendable (InstanceState) -> Void)?>(nil)

    init() throws(PollerError) { mailbox = try Mailbox() }

    /// Data workers first, in the order of their indices, then the admin worker.
    func add(_ worker: Mailbox<WorkerMessage>) { workers.withLock { $0.append(worker) } }

    var workerCount: Int { workers.withLock { $0.count } }

    func post(_ message: WorkerMessage, to worker: Int) {
        workers.withLock { if $0.indices.contains(worker) { $0[worker].post(message) } }
    }

    func postToAll(_ message: WorkerMessage) { workers.withLock { for worker in $0 { worker.post(message) } } }

    func setReady(_ isReady: Bool) { ready.store(isReady, ordering: .relaxed) }

    var isReady: Bool { ready.load(ordering: .relaxed) }

    /// Workers whose index is the same in the 64 marks share one.
    func slotFreed(worker: Int) {
        workers.withLock { all in
            for index in stride(from: worker, to: all.count, by: 64) { all[index].post(.slotFreed) }
        }
    }

    func giveBack(_ instance: InstanceState, for worker: Int) {
        workers.withLock { all in
            for index in all.indices where index != worker { all[index].post(.giveBack(instance)) }
        }
    }

    func received(_ snapshot: MetricsSnapshot, worker: Int) { mailbox.post(.counters(snapshot, worker: worker)) }

    func broken(_ message: BrokenMessage) { mailbox.post(.broken(message)) }

    func drained(worker: Int) { mailbox.post(.drained(worker: worker)) }

    func adopted(_ number: Int, worker: Int) { mailbox.post(.adopted(number, worker: worker)) }

    func released(_ snapshot: GatewaySnapshot) { mailbox.post(.released(snapshot)) }

    /// What runs short in the process, as the control thread sees it.
    func setPressure(_ pressure: LoadShedder.Pressure) { shortage.store(pressure.rawValue, ordering: .relaxed) }

    var pressure: LoadShedder.Pressure { LoadShedder.Pressure(rawValue: shortage.load(ordering: .relaxed)) ?? .none }

    func changed(_ event: ServiceEvent) { mailbox.post(.event(event)) }

    /// Who is to hear of instances in doubt. It is called on a worker's thread, for each request that failed: it must not block.
    func onSuspicion(_ handler: @escaping @Sendable (InstanceState) -> Void) { suspicion.withLock { $0 = handler } }

    func suspected(_ instance: InstanceState) { suspicion.withLock { $0 }?(instance) }

    func beat(worker: Int) { mailbox.post(.beat(worker: worker)) }

    func administer(_ request: AdminRequest, for sink: any ResumptionSink, _ point: SuspensionPoint) {
        mailbox.post(.administer(request, sink, point))
    }

    func renderMetrics(for sink: any ResumptionSink, _ point: SuspensionPoint, openMetrics: Bool) {
        mailbox.post(.render(sink, point, openMetrics: openMetrics))
    }
}

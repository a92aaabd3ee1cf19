import Primitives

/// What the control thread knows of all counters: the names, the latest snapshot of each worker, and the figures that no worker
/// has.
///
/// Snapshots are totals, so that one that is lost or late does no harm: the next one holds its counts as well. Each worker has
/// one place, and its snapshots arrive in the order in which they were taken.
public struct MetricsStore: ~Copyable {
    public var process = ProcessFigures()
    public var configuration = ConfigurationFigures()
    public var build = BuildFigures()
    /// As they were when they were read last; whoever renders the page reads them first.
    public var services = ServiceReadings()
    /// The same of certificates.
    public var certificates = CertificateReadings()
    private(set) var registry: LabelRegistry
    private var latest: [MetricsSnapshot?]
    /// The sum over workers. Its series are kept from one sum to the next, so that what was shown by name once is shown by name
    /// again, whichever worker counts it first.
    private var total = MetricsTables()
    /// What the control thread itself has seen of services.
    var events = ServiceEventTables()

    /// How long the series of a name stay after it left the configuration.
    public static var lifetimeOfRemoved: TimeAmount { .seconds(600) }

    public init(workers: Int, lifetimeOfRemoved: TimeAmount = MetricsStore.lifetimeOfRemoved) {
        latest = Array(repeating: nil, count: workers)
        registry = LabelRegistry(lifetime: lifetimeOfRemoved)
    }

    /// Takes the names of a new configuration; workers get the answer with the rest of it, and call `WorkerMetrics.adopt` with
    /// it.
    public mutating func adopt(_ names: MetricsLabels.Names, generation: UInt64, at now: Instant) -> MetricsLabels {
        let labels = registry.adopt(names, generation: generation, at: now)
        total.retain(labels.known)
        events.retain(labels.known)
        return labels
    }

    /// - Parameter worker: its number, from 0.
    public mutating func receive(_ snapshot: MetricsSnapshot, worker: Int) {
        precondition(latest.indices.contains(worker), "a worker that the store was not made for")
        latest[worker] = snapshot
    }

    /// Sums the latest snapshots up. A worker may still hold series of names that are gone; they are left out.
    mutating func sum(at now: Instant) -> MetricsRows {
        registry.expire(at: now)
        let known = registry.known
        total.retain(known)
        events.retain(known)
        total.zero()
        for snapshot in latest {
            if let snapshot { total.add(snapshot.rows, known) }
        }
        return total.rows()
    }

    /// The longest turn of each worker's loop in nanoseconds; nil for one that has not been heard of.
    var longestTurns: [UInt64?] { latest.map { $0?.longestTurn } }
}

/// Of the process, from /proc/self and getrlimit(2).
public struct ProcessFigures: Sendable {
    /// User and system, in nanoseconds.
    public var cpu = TimeAmount.zero
    public var residentBytes: UInt64 = 0
    public var virtualBytes: UInt64 = 0
    public var openDescriptors: UInt64 = 0
    public var descriptorsMax: UInt64 = 0
    public var start = Timestamp(nanoseconds: 0)
    /// Lines of the daemon's own log that could not be written.
    public var logLinesLost: UInt64 = 0

    public init() {}
}

/// Of the configuration in force, and of the attempts to change it.
public struct ConfigurationFigures: Sendable {
    public var generation: UInt64 = 0
    public var lastReloadSucceeded = true
    public var lastSuccess = Timestamp(nanoseconds: 0)
    public var reloadsSucceeded: UInt64 = 0
    public var reloadsFailed: UInt64 = 0

    public init() {}
}

/// Of the program.
public struct BuildFigures: Sendable {
    public var version = ""
    public var revision = ""

    public init() {}
}

import Pipeline
import Primitives
import Reactor
import Telemetry

/// Requests that wait for the workers' counters. Those that come while one is under way share its answer.
struct Scrape {
    /// A worker that does not answer in time is shown as it was last seen.
    private static var timeout: TimeAmount { .milliseconds(500) }

    /// What is to be said once the counters are here.
    enum Purpose {
        case metrics(openMetrics: Bool)
        case admin(AdminQuestion, AdminCaller)
    }

    struct Waiting {
        var sink: any ResumptionSink
        var point: SuspensionPoint
        var purpose: Purpose
    }

    private var waiting: [Waiting] = []
    private var missing: Set<Int> = []
    private(set) var deadline = Instant.never

    var isOpen: Bool { !waiting.isEmpty }

    /// - Returns: whether the workers are to be asked.
    mutating func add(_ request: Waiting, workers: Set<Int>) -> Bool {
        let isFirst = waiting.isEmpty
        waiting.append(request)
        if isFirst {
            missing = workers
            deadline = Clock.monotonic + Self.timeout
        }
        return isFirst
    }

    /// - Returns: whether all have answered.
    mutating func received(_ worker: Int) -> Bool {
        missing.remove(worker)
        return missing.isEmpty && isOpen
    }

    mutating func close() -> [Waiting] {
        let all = waiting
        waiting = []
        missing = []
        deadline = .never
        return all
    }
}

import Pipeline
import Primitives
import Reactor

/// Requests for the metrics that wait for the workers' counters. Those that come while one is under way share its answer.
struct Scrape {
    /// A worker that does not answer in time is shown as it was last seen.
    private static var timeout: TimeAmount { .milliseconds(500) }

    struct Waiting {
        var sink: any ResumptionSink
        var point: SuspensionPoint
        var openMetrics: Bool
    }

    private var waiting: [Waiting] = []
    private var missing: Set<Int> = []
    private(set) var deadline = Instant.never

    var isOpen: Bool { !waiting.isEmpty }

    /// - Returns: whether the workers are to be asked.
    mutating func add(_ sink: any ResumptionSink, _ point: SuspensionPoint, openMetrics: Bool, workers: Int) -> Bool {
        let isFirst = waiting.isEmpty
        waiting.append(Waiting(sink: sink, point: point, openMetrics: openMetrics))
        if isFirst {
            missing = Set(0..<workers)
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

import SluiceDaemon

/// Asks the service that knows the tenants, on threads of its own, so that no worker of the gateway ever waits.
final class TenantDirectory: Sendable {
    enum Finding: Sendable {
        case allowed, denied
        /// The service is down, too slow, or does not know what it says.
        case unknown
    }

    private struct Question: Sendable {
        let tenant: String
        /// On the monotonic clock; the time in the queue counts.
        let deadline: Instant
        let tell: @Sendable (Finding) -> Void
    }

    private let service: ServiceAddress
    private let timeout: TimeAmount
    private let threads: Int
    private let queue: BoundedQueue<Question>

    /// - Parameter waitingMax: questions that no thread has taken up yet; more are refused.
    init(service: ServiceAddress, timeout: TimeAmount, threads: Int, waitingMax: Int) {
        self.service = service
        self.timeout = timeout
        self.threads = threads
        queue = BoundedQueue(capacity: waitingMax)
    }

    /// The last request of a configuration has ended: its threads end as well.
    deinit { queue.close() }

    /// Calls `tell` once, on another thread, at the latest soon after the timeout.
    /// - Returns: false, and `tell` is never called, when too many questions wait.
    func ask(about tenant: String, tell: @escaping @Sendable (Finding) -> Void) -> Bool {
        // Not in `init`: `check` makes a middleware as well, and asks nothing.
        queue.startOnce { startThreads() }
        return queue.append(Question(tenant: tenant, deadline: now() + timeout, tell: tell))
    }

    private func startThreads() {
        let (queue, service) = (self.queue, self.service)
        for _ in 0..<threads {
            startThread {
                while let question = queue.next() {
                    question.tell(Self.finding(of: question, at: service))
                }
            }
        }
    }

    private static func finding(of question: Question, at service: ServiceAddress) -> Finding {
        // Whoever has waited too long in the queue gets the answer without one more question.
        guard now() < question.deadline else { return .unknown }
        switch status(of: "/tenants/\(question.tenant)", at: service, deadline: question.deadline) {
        case 200, 204: return .allowed
        case 403, 404: return .denied
        default: return .unknown
        }
    }
}

import Health
import Primitives
import Resilience
import Upstream

/// What one source of transitions (a worker, or the thread that checks) does to requests, instances and breakers, one JSON object
/// per line, in the words of the specification: docs/spec/README.md has the format.
///
/// For diagnosis and for tests; in ordinary operation there is none. It follows each request so that every line is one that the
/// specification can place: what happens to a request after its end is not written.
public final class TransitionLog {
    /// Where a request stands, as far as that decides what is written next.
    private struct Request {
        let name: String
        let service: String
        /// It may be sent twice.
        let isSafe: Bool
        var instance: String?
        var isWritten = false
        var isTold = false
        var hasFailed = false
        var isOver = false
    }

    private let source: String
    /// Those that are written of.
    private let services: Set<String>
    private let clock: () -> UInt64
    private let sink: (RawSpan) -> Void
    private var requests: [Int: Request] = [:]
    private var lines = ByteBuffer(capacity: 65_536)

    /// - Parameters:
    ///   - services: the names for which there is a line `begin`; see `TransitionLogBeginning`.
    ///   - clock: nanoseconds, the same for all sources.
    ///   - sink: gets whole lines, when `flush` is called.
    public init(source: String, services: Set<String>, clock: @escaping () -> UInt64, sink: @escaping (RawSpan) -> Void) {
        self.source = source
        self.services = services
        self.clock = clock
        self.sink = sink
    }

    /// To be called at the end of each turn.
    public func flush() {
        guard !lines.isEmpty else { return }
        sink(lines.bytes)
        lines.clear()
    }

    // Requests. `slot` is where the worker keeps it.

    /// - Parameter deadline: from now; `.forever` for none.
    func accepted(_ slot: Int, token: UInt64, service: String, deadline: TimeAmount, isSafe: Bool) {
        // A fallback: for the first service the request ends here.
        answered(slot, status: 503)
        guard services.contains(service) else { return }
        let request = Request(name: "\(source)-\(token)", service: service, isSafe: isSafe)
        requests[slot] = request
        // Longer than any run that is replayed.
        let microseconds = min(deadline.nanoseconds / 1000, 1_000_000_000)
        write("accept", request, ",\"deadline_us\":\(microseconds),\"safe\":\(isSafe)")
    }

    func admitted(_ slot: Int, isProbe: Bool) {
        guard let request = requests[slot], !request.isOver else { return }
        write("admit", request, ",\"probe\":\(isProbe)")
    }

    func queued(_ slot: Int) {
        guard let request = requests[slot] else { return }
        write("queue", request)
    }

    func leased(_ slot: Int, _ instance: String) {
        guard var request = requests[slot] else { return }
        request.instance = instance
        request.isWritten = false
        request.isTold = false
        requests[slot] = request
        writeTry("lease", request)
    }

    func routed(_ slot: Int) {
        guard var request = requests[slot] else { return }
        request.isWritten = true
        requests[slot] = request
        writeTry("route", request)
    }

    /// - Parameter goesElsewhere: the service's breaker hears nothing of it.
    func judged(_ slot: Int, _ outcome: CallOutcome, goesElsewhere: Bool) {
        guard var request = requests[slot], request.instance != nil, !request.isTold, !request.isOver else { return }
        let word =
            switch outcome {
            case .answered: "success"
            case .serverError: "error"
            case .connectFailed, .timedOut, .broken: goesElsewhere ? "elsewhere" : "failure"
            case .stale: "stale"
            case .clientGone, .givenUp: "ignored"
            }
        request.isTold = true
        // As though nothing had been written.
        if outcome == .stale, request.isSafe { request.isWritten = false }
        requests[slot] = request
        writeTry("outcome", request, ",\"outcome\":\"\(word)\"")
    }

    func released(_ slot: Int) {
        guard var request = requests[slot], request.instance != nil else { return }
        writeTry("release", request)
        request.instance = nil
        request.hasFailed = request.isWritten
        requests[slot] = request.isOver ? nil : request
    }

    /// The budget has paid for another try.
    func retried(_ slot: Int) {
        guard var request = requests[slot] else { return }
        request.hasFailed = false
        requests[slot] = request
        write("retry", request)
    }

    /// Nothing more is tried at its service.
    func refused(_ slot: Int) {
        guard var request = requests[slot], request.instance == nil, !request.hasFailed, !request.isOver else { return }
        request.hasFailed = true
        requests[slot] = request
        write("refuse", request)
    }

    func answered(_ slot: Int, status: UInt16) {
        refused(slot)
        end(slot, "answer", ",\"status\":\(status)")
    }

    func aborted(_ slot: Int) {
        // Also in the middle of the answer.
        guard let request = requests[slot], request.isOver else { return end(slot, "abort") }
        write("abort", request)
    }

    private func end(_ slot: Int, _ event: String, _ more: String = "") {
        guard var request = requests[slot], !request.isOver else { return }
        write(event, request, more)
        request.isOver = true
        requests[slot] = request.instance == nil ? nil : request
    }

    // Instances and breakers.

    /// A failure that is no try's outcome.
    func failed(_ instance: InstanceState.Key) {
        write("evidence", service: instance.service, ",\"instance\":\(Self.quoted(instance.address))")
    }

    public func changed(_ event: ServiceEvent) {
        switch event {
        case .breaker(let service, nil, let transition): changed(service, transition)
        case .health(let key, let change):
            write(
                "health", service: key.service,
                ",\"instance\":\(Self.quoted(key.address)),\"from\":\"\(Self.word(change.from))\",\"to\":\"\(Self.word(change.to))\""
                    + ",\"reason\":\"\(change.reason.name)\"")
        case .checked(let key, let verdict, _):
            write(
                "check", service: key.service, ",\"instance\":\(Self.quoted(key.address)),\"passed\":\(verdict == .passed)")
        // They only narrow the choice.
        case .ejected, .returned, .breaker: break
        }
    }

    private func changed(_ service: String, _ transition: CircuitBreaker.Transition) {
        let open = transition.until.map { ",\"open_us\":\($0.since(transition.at).nanoseconds / 1000)" } ?? ""
        write(
            "breaker", service: service,
            ",\"from\":\"\(transition.from.name)\",\"to\":\"\(transition.to.name)\",\"reason\":\"\(transition.reason.name)\"\(open)"
        )
    }

    // Lines.

    private func write(_ event: String, _ request: Request, _ more: String = "") {
        write(event, service: request.service, ",\"request\":\"\(request.name)\"\(more)")
    }

    private func writeTry(_ event: String, _ request: Request, _ more: String = "") {
        write(event, request, ",\"instance\":\(Self.quoted(request.instance ?? ""))\(more)")
    }

    private func write(_ event: String, service: String, _ more: String) {
        guard services.contains(service) else { return }
        lines.append(
            "{\"at\":\(clock() / 1000),\"source\":\"\(source)\",\"event\":\"\(event)\",\"service\":\(Self.quoted(service))\(more)}\n"
        )
    }

    static func quoted(_ text: String) -> String { JSONValue.string(text).text }

    static func word(_ phase: InstanceHealth.Phase) -> String { "\(phase.name)".uppercased() }
}

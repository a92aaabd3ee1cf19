import Logs
import Primitives
import Proxy
import Reactor
import Upstream

/// The file that `SLUICE_TRANSITIONS` names: what workers and checks do to requests, instances and breakers, for reports of bugs and
/// for tests. Reading it: docs/spec/README.md.
struct TransitionFile: Sendable {
    static var variable: String { "SLUICE_TRANSITIONS" }

    private let writer: LogWriter
    private let services: Set<String>

    /// Nil where the environment does not ask for it.
    /// - Throws: when the file cannot be opened.
    init?(environment: [String: String], _ snapshot: GatewaySnapshot) throws(StartError) {
        guard let path = environment[Self.variable], !path.isEmpty else { return nil }
        do {
            writer = try LogWriter(.file(path))
        } catch {
            throw StartError("cannot open \(path) (\(Self.variable)): \(SystemError.text(error.error))")
        }
        let beginning = TransitionLogBeginning(snapshot)
        services = beginning.services
        writer.append(beginning.lines.span.bytes)
    }

    /// For one thread.
    func log(of source: String) -> TransitionLog {
        TransitionLog(source: source, services: services, clock: { Clock.monotonic.nanoseconds }) { [writer] lines in
            writer.append(lines)
        }
    }

    /// What the thread that checks tells of; called by it alone.
    func listener(_ source: String) -> @Sendable (ServiceEvent) -> Void {
        let box = Box(log: log(of: source))
        return { event in
            box.log.changed(event)
            box.log.flush()
        }
    }

    /// Writes what is still to be written.
    func finish() { writer.finish(milliseconds: 1000) }

    private struct Box: @unchecked Sendable {
        let log: TransitionLog
    }
}

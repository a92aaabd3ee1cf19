import Glibc
import Primitives
import Reactor

/// A new process that is to take the place of this one, from its start until it says that it serves.
///
/// It gets the listening sockets as systemd would hand them over, and the writing end of a pipe, on which it says one byte once it serves. A
/// pipe that closes before that is a start that failed.
struct Upgrade {
    /// Names the descriptor of the pipe in the new process's environment.
    static var readyVariable: String { "SLUICE_READY_FD" }
    /// Longer than any configuration takes to load.
    private static var timeout: TimeAmount { .seconds(60) }
    /// Between the end of its pipe and its own.
    private static var grace: TimeAmount { .seconds(2) }
    /// Describe this process, not the new one.
    private static var ownVariables: Set<String> {
        ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", readyVariable]
    }

    enum Progress: Equatable {
        case waiting
        case serving
        /// Why it does not serve.
        case failed(String)
    }

    let successor: Successor
    private let ready: PipeReader
    private(set) var deadline: Instant
    /// The pipe is at its end, and the process has not ended yet.
    private var isSilent = false

    /// What to wait for; negative when there is nothing to be heard any more.
    var descriptor: Int32 { isSilent ? -1 : ready.descriptor }

    private init(successor: Successor, ready: PipeReader, deadline: Instant) {
        self.successor = successor
        self.ready = ready
        self.deadline = deadline
    }

    /// Starts the program at `path` with this process's arguments and environment.
    /// - Throws: what stood in the way.
    static func start(
        path: String, isWatched: Bool, sockets: [(label: String, descriptor: Int32)]
    ) throws(PollerError) -> Upgrade {
        let (reader, writer) = try makePipe()
        defer { closeDescriptor(writer) }
        let variables = [
            (name: "LISTEN_FDS", value: "\(sockets.count)"),
            (name: "LISTEN_FDNAMES", value: sockets.map(\.label).joined(separator: ":")),
            (name: readyVariable, value: "\(Int(InheritedSockets.first) + sockets.count)"),
        ]
        do {
            let successor = try Successor.start(
                path: path, leavingOut: ownVariables, adding: variables,
                processIDVariables: isWatched ? ["LISTEN_PID", "WATCHDOG_PID"] : ["LISTEN_PID"],
                descriptors: sockets.map(\.descriptor) + [writer])
            return Upgrade(successor: successor, ready: reader, deadline: Clock.monotonic + timeout)
        } catch {
            reader.close()
            throw error
        }
    }

    /// What has become of it.
    mutating func progress(at now: Instant) -> Progress {
        switch isSilent ? .closed : ready.read() {
        case .bytes: return .serving
        case .nothingYet:
            guard now >= deadline else { return .waiting }
            successor.kill()
            return .failed("it said nothing for \(Self.timeout.nanoseconds / 1_000_000_000) s and was ended")
        case .closed:
            if let ending = successor.ending() { return .failed(ending) }
            // Its end of the pipe is gone, and it is about to follow.
            if !isSilent { deadline = min(deadline, now + Self.grace) }
            isSilent = true
            guard now >= deadline else { return .waiting }
            successor.kill()
            return .failed("it gave its place up and went on running; it was ended")
        }
    }

    /// Closes our end; to be called once it is over, one way or the other.
    func close() { ready.close() }

    /// Says to the process before this one, if there is one, that this one serves.
    static func sayReady(environment: [String: String]) {
        guard let descriptor = environment[readyVariable].flatMap({ Int32($0) }), descriptor > 2 else { return }
        var byte: UInt8 = 1
        _ = write(descriptor, &byte, 1)
        closeDescriptor(descriptor)
    }
}

import Glibc
import Primitives
import Reactor
import Upstream

/// The thread that checks the instances of all services, and lets time pass for their health, breakers and ejections. One for a
/// process, so that more workers do not mean more checks.
///
/// Checks use connections of their own and never wait for a worker, nor a worker for them.
public final class HealthChecker: Sendable {
    private let mailbox: Mailbox<CheckMessage>
    /// Signalled once the thread has closed everything.
    private let ended: WakeDescriptor

    /// Starts the thread. It has nothing to do until `watch`.
    /// - Parameters:
    ///   - seed: for jitter and backoff.
    ///   - report: what was found out; called on the checker's thread, so it must not wait.
    /// - Throws: when no descriptor is left.
    public init(seed: UInt64, report: @escaping @Sendable (ServiceEvent) -> Void) throws(PollerError) {
        let mailbox = try Mailbox<CheckMessage>()
        let loop = LoopBox(loop: try CheckLoop(mailbox: mailbox, seed: seed, report: report))
        let ended = try WakeDescriptor()
        self.mailbox = mailbox
        self.ended = ended
        startThread(name: "sluice-checks") {
            loop.loop.run()
            ended.signal()
        }
    }

    deinit {
        stop()
        ended.close()
    }

    /// Takes a configuration over. Instances whose state it knows keep their schedule, their counters and their connection; new
    /// ones are checked at once; the connections of all others are closed.
    public func watch(_ services: [WatchedService]) { mailbox.post(.watch(services)) }

    /// A request has put the instance in doubt: a check is to tell, now, or as soon as the fast interval allows. From any
    /// thread, for every failure: one atomic load where the checker has been told already.
    public func hurry(_ instance: InstanceState) {
        if instance.raiseHurry() { mailbox.post(.hurry(instance)) }
    }

    /// Ends all checks without a verdict, closes every connection, and waits for that. Calling it again does nothing.
    public func stop() {
        mailbox.post(.stop)
        var event = pollfd(fd: ended.descriptor, events: Int16(POLLIN), revents: 0)
        // Interrupted by a signal it waits again; the descriptor stays readable.
        while poll(&event, 1, -1) < 1 {}
    }
}

/// Moves a loop to the one thread that runs it.
private struct LoopBox: @unchecked Sendable {
    let loop: CheckLoop
}

import Configuration
import Glibc
import Primitives
import Reactor
import Synchronization
import Upstream

/// Looks the instances' names up, off the workers, and again every few seconds. A failure keeps the last good answer.
final class Resolver: Sendable {
    /// One name that hangs must not hold up all others.
    private static let threads = 4

    private struct Entry {
        var host: String
        var port: UInt16
        var interval: TimeAmount
        var instance: InstanceState
        var due: Instant
        var isBusy = false
        /// Never answered so far, good or bad.
        var isFirst = true
        var failing = false
    }

    private struct Work {
        var entries: [InstanceState.Key: Entry] = [:]
    }

    private let work = Mutex(Work())
    private let wake: WakeDescriptor
    private let report: @Sendable (_ host: String, _ error: String?) -> Void

    /// - Parameter report: called once when a name begins to fail, and once when it is found again.
    init(report: @escaping @Sendable (_ host: String, _ error: String?) -> Void) throws(PollerError) {
        wake = try WakeDescriptor()
        self.report = report
    }

    func start() {
        for i in 0..<Self.threads {
            startThread(name: "sluice-dns-\(i)") { [self] in
                while true { step() }
            }
        }
    }

    /// Takes over which names are to be looked up; new ones at once.
    func watch(_ names: [(configuration: InstanceConfiguration, interval: TimeAmount, instance: InstanceState)]) {
        work.withLock { work in
            var entries: [InstanceState.Key: Entry] = [:]
            for name in names {
                guard case .name(let host, let port) = name.configuration.address else { continue }
                if var known = work.entries[name.instance.key], known.instance === name.instance {
                    known.interval = name.interval
                    entries[name.instance.key] = known
                } else {
                    entries[name.instance.key] = Entry(
                        host: host, port: port, interval: name.interval, instance: name.instance, due: Instant(nanoseconds: 0))
                }
            }
            work.entries = entries
        }
        wake.signal()
    }

    /// Whether every name has been tried once.
    var hasFirstAnswers: Bool { work.withLock { work in !work.entries.values.contains { $0.isFirst } } }

    /// Waits until every name has been tried once, or for `timeout`.
    func waitForFirstAnswers(atMost timeout: TimeAmount) {
        let end = Clock.monotonic + timeout
        while Clock.monotonic < end {
            if hasFirstAnswers { return }
            usleep(5000)
        }
    }

    private func step() {
        let now = Clock.monotonic
        let next = work.withLock { work -> Entry? in
            guard let due = work.entries.values.filter({ !$0.isBusy && $0.due <= now }).min(by: { $0.due < $1.due }) else {
                return nil
            }
            work.entries[due.instance.key]?.isBusy = true
            return due
        }
        guard let next else { return sleep() }
        let answer = resolveAddresses(host: next.host, port: next.port)
        var failure: String?
        switch answer {
        case .success(let addresses): next.instance.setAddresses(addresses)
        case .failure(let error): failure = error.text
        }
        let changed = work.withLock { work -> Bool in
            guard var entry = work.entries[next.instance.key], entry.instance === next.instance else { return false }
            entry.isBusy = false
            entry.isFirst = false
            entry.due = Clock.monotonic + entry.interval
            let changed = entry.failing != (failure != nil)
            entry.failing = failure != nil
            work.entries[next.instance.key] = entry
            return changed
        }
        if changed { report(next.host, failure) }
    }

    private func sleep() {
        var event = pollfd(fd: wake.descriptor, events: Int16(POLLIN), revents: 0)
        if poll(&event, 1, 500) > 0 { wake.clear() }
    }
}

import CLinux
import Primitives
import Reactor

/// A listening socket of one worker, and who waits to be accepted.
final class VirtualListener {
    let descriptor: Int32
    var poller: Int32 = -1
    var token: UInt64 = 0
    var isRegistered = false
    var backlog: [Link] = []

    init(descriptor: Int32) { self.descriptor = descriptor }
}

/// The kernel and the wire of a simulated gateway: descriptors, epoll instances, and a clock that only moves when everybody waits.
final class VirtualNetwork {
    /// What may go wrong below HTTP.
    struct Faults {
        var shortWrites = false
        var acceptErrors = false
        var spuriousEvents = false
        var lateEvents = false
    }

    enum Descriptor {
        case listener(VirtualListener)
        case link(Link)
    }

    /// Above any number that the kernel gives, so that a stray real call cannot hit a real descriptor.
    static let firstDescriptor: Int32 = 1_000_000_000

    var random: RandomSource
    var faults = Faults()
    var now: UInt64
    private var schedule = Schedule()
    var links: [Link] = []
    private var descriptors: [Descriptor?] = []
    private var listeners: [VirtualListener] = []
    private var ready: [Link] = []
    /// Those of whose end each epoll instance told in its last batch.
    private var reported: [Int32: [Link]] = [:]
    /// Mailboxes by epoll instance, and whether something is in them.
    private var mailboxes: [Int32: (token: UInt64, isSignalled: Bool)] = [:]
    /// When each epoll instance would have returned for want of events.
    private(set) var wakeTimes: [Int32: UInt64] = [:]
    private(set) var returnedEvents = false
    /// Who connects at the moment is the thread that checks.
    var isChecking = false
    /// The epoll instance that was last given a mailbox.
    private(set) var lastPoller: Int32 = -1
    /// What the gateway did that no correct program does.
    var violations: [String] = []
    /// Who takes connections to an address; - Returns: the link, or minus the error number.
    var connect: (UInt64, UInt16) -> Result<Link, ConnectError> = { _, _ in .failure(ConnectError(number: 111)) }
    var accepted: (Link) -> Void = { _ in }

    struct ConnectError: Error { let number: Int32 }

    init(seed: UInt64) {
        random = RandomSource(seed: seed)
        now = 1_000_000_000_000
    }

    // Dice.

    func upTo(_ most: UInt64) -> UInt64 { most == 0 ? 0 : random.next() % (most + 1) }
    func oneIn(_ n: UInt64) -> Bool { random.next() % n == 0 }
    func maybe(_ n: UInt64, _ action: () -> Void) { if oneIn(n) { action() } }
    func pick<T>(_ values: [T]) -> T { values[Int(random.next() % UInt64(values.count))] }

    // Time.

    func after(_ delay: UInt64, _ action: @escaping () -> Void) { schedule.add(at: now + delay, action) }

    /// Does what is due by now.
    func runDue() {
        var budget = 100_000
        while let next = schedule.earliest, next <= now, budget > 0 {
            schedule.removeFirst()?()
            budget -= 1
        }
        if budget == 0 { violations.append("the simulation itself runs in circles") }
    }

    /// Moves on to the next thing that happens, or that a worker waits for.
    func advance() {
        let wake = wakeTimes.values.min() ?? .max
        let next = min(schedule.earliest ?? .max, wake)
        if next != .max, next > now { now = next }
        runDue()
    }

    func passTime(_ nanoseconds: UInt64) {
        now += nanoseconds
        runDue()
    }

    func forgetWakeTime(_ poller: Int32) { wakeTimes[poller] = nil }

    /// Forgets whoever waits for something, so that nothing keeps the run alive.
    func end() {
        schedule = Schedule()
        for link in links { link.forgetOperations() }
        links = []
    }

    // Descriptors.

    private func allocate(_ make: (Int32) -> Descriptor) -> Int32 {
        // The lowest free number, as the kernel does, so that numbers are reused at once.
        let index = descriptors.firstIndex { $0 == nil } ?? descriptors.count
        if index == descriptors.count { descriptors.append(nil) }
        let fd = Self.firstDescriptor + Int32(index)
        descriptors[index] = make(fd)
        return fd
    }

    func listen() -> VirtualListener {
        var made: VirtualListener?
        _ = allocate { fd in
            let listener = VirtualListener(descriptor: fd)
            made = listener
            listeners.append(listener)
            return .listener(listener)
        }
        return made!
    }

    var openDescriptors: Int { descriptors.count { $0 != nil } }
    var openLinks: [Link] { descriptors.compactMap { if case .link(let link)? = $0 { link } else { nil } } }

    private func find(_ fd: Int32, _ call: String) -> Descriptor? {
        let index = Int(fd) - Int(Self.firstDescriptor)
        guard descriptors.indices.contains(index), let found = descriptors[index] else {
            violations.append("\(call) on descriptor \(fd), which is not open")
            return nil
        }
        return found
    }

    private func link(_ fd: Int32, _ call: String) -> Link? {
        guard case .link(let link)? = find(fd, call) else { return nil }
        return link
    }

    /// The calls that were made, for whoever looks into a seed; nil while nobody does.
    var calls: [String]?

    private func note(_ text: @autoclosure () -> String) { if calls != nil { calls?.append(text()) } }

    func takeCalls() -> [String] {
        defer { if calls != nil { calls = [] } }
        return calls ?? []
    }

    func receive(_ fd: Int32, _ to: UnsafeMutableRawPointer, _ count: Int) -> Int {
        guard let link = link(fd, "recv") else { return -9 }
        let n = link.receive(to, count)
        note("\(link.name) recv \(n)")
        return n
    }

    func send(_ fd: Int32, _ pieces: [UnsafeRawBufferPointer]) -> Int {
        if pieces.allSatisfy({ $0.isEmpty }) { violations.append("send of nothing on \(fd)") }
        guard let link = link(fd, "send") else { return -9 }
        let n = link.send(pieces)
        note("\(link.name) send \(n) of \(pieces.map(\.count))")
        return n
    }

    func shutdownWrite(_ fd: Int32) -> Int32 {
        guard let link = link(fd, "shutdown") else { return -9 }
        note("\(link.name) shutdown")
        return link.shutdownWrite()
    }

    func close(_ fd: Int32, reset: Bool) {
        switch find(fd, "close") {
        case .link(let link):
            note("\(link.name) close reset: \(reset)")
            link.close(reset: reset)
        case .listener(let listener):
            // Who waits in the backlog is reset with it.
            for link in listener.backlog { link.close(reset: true) }
            listener.backlog = []
            listener.isRegistered = false
        case nil: return
        }
        descriptors[Int(fd - Self.firstDescriptor)] = nil
    }

    func accept(_ fd: Int32) -> (Int32, Link?) {
        guard case .listener(let listener)? = find(fd, "accept") else { return (-9, nil) }
        guard !listener.backlog.isEmpty else { return (-11, nil) }
        if faults.acceptErrors, oneIn(4) { return (pick([-24, -23, -103, -71]), nil) }
        let link = listener.backlog.removeFirst()
        let number = allocate { _ in .link(link) }
        link.descriptor = number
        accepted(link)
        return (number, link)
    }

    func connect(_ high: UInt64, _ low: UInt64, _ port: UInt16) -> Int32 {
        switch connect(low, port) {
        case .failure(let error): return -error.number
        case .success(let link):
            let number = allocate { _ in .link(link) }
            link.descriptor = number
            return number
        }
    }

    func socketError(_ fd: Int32) -> Int32 {
        guard let link = link(fd, "getsockopt") else { return 9 }
        defer { link.pendingError = 0 }
        return link.pendingError
    }

    // epoll.

    func add(_ poller: Int32, _ fd: Int32, _ events: UInt32, _ token: UInt64) -> Int32 {
        guard fd >= Self.firstDescriptor else {
            mailboxes[poller] = (token, false)
            lastPoller = poller
            return 0
        }
        switch find(fd, "epoll_ctl") {
        case .link(let link):
            if link.isRegistered { violations.append("\(link.name) is registered twice") }
            link.isRegistered = true
            link.poller = poller
            link.token = token
            // Whatever is there already is reported.
            link.isReady = true
        case .listener(let listener):
            if listener.isRegistered { violations.append("a listener is registered twice") }
            listener.isRegistered = true
            listener.poller = poller
            listener.token = token
        case nil: return -9
        }
        return 0
    }

    func remove(_ fd: Int32) -> Int32 {
        switch find(fd, "epoll_ctl") {
        case .link(let link): link.isRegistered = false
        case .listener(let listener):
            if !listener.isRegistered { violations.append("a listener is removed that is not registered") }
            listener.isRegistered = false
        case nil: return -9
        }
        return 0
    }

    func list(_ link: Link) {
        link.isListed = true
        ready.append(link)
    }

    func signalMailbox(_ poller: Int32) { mailboxes[poller]?.isSignalled = true }

    func wait(_ poller: Int32, _ events: UnsafeMutablePointer<epoll_event>, _ capacity: Int32, _ timeout: Int32) -> Int32 {
        for link in reported[poller] ?? [] where link.finReported { link.finKnown = true }
        reported[poller] = nil
        var found: [(mask: UInt32, token: UInt64, link: Link?)] = []
        if let mailbox = mailboxes[poller], mailbox.isSignalled {
            found.append((0x001, mailbox.token, nil))
            mailboxes[poller]?.isSignalled = false
        }
        for listener in listeners where listener.isRegistered && listener.poller == poller && !listener.backlog.isEmpty {
            found.append((0x001, listener.token, nil))
        }
        var others: [Link] = []
        for link in ready {
            link.isListed = false
            guard link.isReady, !link.isClosed else { continue }
            // The rest of the batch comes with the next call.
            if !link.isRegistered || link.poller != poller || (faults.lateEvents && !found.isEmpty && oneIn(5)) {
                link.isListed = true
                others.append(link)
                continue
            }
            link.isReady = false
            let mask = link.readiness
            if mask != 0 { found.append((mask, link.token, link)) }
        }
        ready = others
        shuffle(&found)
        let count = min(found.count, Int(capacity))
        for i in 0..<count {
            note("event \(found[i].link?.name ?? "") \(String(found[i].mask, radix: 16))")
            events[i].events = found[i].mask
            if let link = found[i].link, found[i].mask & 0x2000 != 0 {
                link.finReported = true
                reported[poller, default: []].append(link)
            }
            events[i].data.u64 = found[i].token
            // A second wake-up may follow on the heels of the first, and report what is there once more.
            if faults.spuriousEvents, oneIn(20) { found[i].link?.isReady = true }
        }
        returnedEvents = count > 0
        wakeTimes[poller] = timeout < 0 ? nil : now + UInt64(timeout) * 1_000_000
        return Int32(count)
    }

    private func shuffle(_ list: inout [(mask: UInt32, token: UInt64, link: Link?)]) {
        guard list.count > 1 else { return }
        for i in stride(from: list.count - 1, to: 0, by: -1) { list.swapAt(i, Int(upTo(UInt64(i)))) }
    }
}

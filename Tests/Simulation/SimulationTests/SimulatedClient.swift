/// One client connection: sends its trials one after the other or all at once, and checks every byte that comes back.
final class SimulatedClient: Endpoint {
    /// How a client misbehaves, or leaves.
    enum Manner: Equatable {
        case proper
        /// Shuts its writing side once the last request is out, and waits for the answers.
        case halfCloses
        /// Waits for the gateway to close the idle connection.
        case lingers
        /// Breaks off after so many bytes of what it sends, by a reset or in order.
        case leavesSending(after: Int, resets: Bool)
        /// Breaks off after so many bytes of what it gets.
        case leavesReceiving(after: Int, resets: Bool)
        /// Stops reading after so many bytes, for so long.
        case stopsReading(after: Int, nanoseconds: UInt64)
        /// Stops sending after so many bytes, for longer than the gateway waits.
        case stopsSending(after: Int)
    }

    unowned let world: World
    let number: Int
    let address: UInt32
    let trials: [Trial]
    let manner: Manner
    let isPipelining: Bool
    private let pause: UInt64
    private(set) var link: Link!
    private(set) var isDone = false
    private var reader = MessageReader()
    private var sent = 0
    /// Requests that were begun and have no whole answer yet, with where each ends in what the client sends.
    private var awaiting: [(trial: Trial, end: Int)] = []
    private var sentBytes = 0
    private var receivedBytes = 0
    private var head: MessageHead?
    private var isInterim = false
    private var bodyOffset = 0
    /// An answer has said that it is the last.
    private var isLast = false
    private var hasLeft = false
    private var awaitsContinue: [UInt8]?

    init(_ world: World, number: Int, address: UInt32, plan: ClientPlan) {
        self.world = world
        self.number = number
        self.address = address
        trials = plan.trials
        manner = plan.manner
        isPipelining = plan.isPipelining
        pause = plan.pause
        link = Link(world.network, self, name: "client \(number)")
        if let delay = plan.readDelay { link.readDelayMax = delay }
        if plan.pause > 0 { link.delayMax = 0 }
        world.network.links.append(link)
    }

    /// Whether what went wrong may be of its own making.
    private var isAtFault: Bool {
        switch manner {
        case .proper, .halfCloses, .lingers: false
        default: true
        }
    }

    var awaitsRequest: Bool { false }

    func opened(_ link: Link) {
        sendNext()
        if pause > 0 { link.add(.pause(pause)) }
        while isPipelining, sent < trials.count { sendNext() }
        world.network.after(300_000_000_000) { [self] in
            if !isDone { world.violation("client \(number) waits for ever: \(awaiting.map(\.trial.tag))") }
        }
    }

    private func sendNext() {
        let trial = trials[sent]
        sent += 1
        let (head, body) = trial.wire
        world.trace("client \(number) sends \(trial.summary)")
        awaiting.append((trial, sentBytes + head.count + body.count))
        sentBytes += head.count + body.count
        push(head, before: sentBytes - body.count)
        if trial.expectsContinue, !isPipelining, !body.isEmpty {
            awaitsContinue = body
            // Who gets no 100 sends the body all the same (RFC 9110 §10.1.1).
            world.network.after(1_000_000_000) { [self] in
                if awaiting.first?.trial === trial { sendBody() }
            }
        } else {
            push(body, before: sentBytes)
        }
        if sent == trials.count, manner == .halfCloses, awaitsContinue == nil { link.add(.fin) }
    }

    private func sendBody() {
        guard let body = awaitsContinue else { return }
        awaitsContinue = nil
        push(body, before: sentBytes)
        if sent == trials.count, manner == .halfCloses { link.add(.fin) }
    }

    /// - Parameter end: where the bytes end in all that is sent.
    private func push(_ bytes: [UInt8], before end: Int) {
        let start = end - bytes.count
        switch manner {
        case .leavesSending(let after, let resets) where after >= start && after < end:
            link.write(Array(bytes[..<(after - start)]))
            link.add(.call { [self] in leave() })
            link.add(resets ? .reset : .close)
        case .stopsSending(let after) where after >= start && after < end:
            link.write(Array(bytes[..<(after - start)]))
            link.add(.pause(world.patience * 3))
            link.write(Array(bytes[(after - start)...]))
        default:
            if !bytes.isEmpty { link.write(bytes) }
        }
    }

    /// Nobody listened.
    func refused() { leave() }

    private func leave() {
        hasLeft = true
        isDone = true
    }

    func received(_ bytes: [UInt8], _ link: Link) {
        guard !hasLeft else { return }
        if isLast { return world.violation("client \(number) got bytes behind the last answer") }
        let before = receivedBytes
        receivedBytes += bytes.count
        switch manner {
        case .leavesReceiving(let after, let resets) where receivedBytes >= after:
            leave()
            link.forgetOperations()
            return link.add(resets ? .reset : .close)
        case .stopsReading(let after, let time) where before <= after && receivedBytes > after:
            link.isReading = false
            world.network.after(time) { link.isReading = true }
        default: break
        }
        reader.append(bytes)
        while !hasLeft {
            switch reader.next() {
            case .needMore: return
            case .head(let head): begin(head)
            case .data(let data): body(data)
            case .end: complete()
            case .fault(let text): return fault("what is no response: \(text)")
            }
        }
    }

    private func fault(_ text: String) {
        world.violation("client \(number) got \(text)")
        leave()
        link.forgetOperations()
        link.add(.reset)
    }

    private func begin(_ head: MessageHead) {
        guard let (trial, end) = awaiting.first else { return fault("an answer that nobody asked for: \(head.start)") }
        isInterim = head.status < 200
        if isInterim {
            guard head.status == 100 ? trial.expectsContinue : trial.interims > 0 || trial.behaviour == .endlessInterims else {
                return fault("\(head.start) for tag \(trial.tag)")
            }
            reader.beginBody(.none)
            return
        }
        let headEnd = end - trial.wire.body.count
        // The method of a head that never came to its end is not known.
        let isKnown = head.status != 408 || link.bytesRead >= headEnd
        guard let framing = responseFraming(head, method: isKnown ? trial.method : "GET") else {
            return fault("an ambiguous or forbidden framing for tag \(trial.tag): \(head.fields)")
        }
        self.head = head
        bodyOffset = 0
        if let tag = head.value("x-tag") {
            guard tag == "\(trial.tag)" else { return fault("the answer to \(tag) for \(trial.tag)") }
            guard head.status == trial.status else { return fault("status \(head.status) for tag \(tag)") }
            guard !trial.seenBy.isEmpty else { return fault("an answer to \(tag), which no backend has seen") }
        } else if let problem = world.refuses(trial, head, clientIsAtFault: isAtFault) {
            return fault(problem)
        }
        world.trace("client \(number) gets \(head.start) for \(trial.tag) \(framing) \(head.value("connection") ?? "")")
        reader.beginBody(framing)
    }

    private func body(_ data: [UInt8]) {
        defer { bodyOffset += data.count }
        guard let (trial, _) = awaiting.first, let head, head.count("x-tag") == 1 else { return }
        let expected = trial.responseBody
        guard continues(expected, at: bodyOffset, data) else {
            return fault(
                "foreign bytes in the answer to \(trial.tag), at \(bodyOffset) of \(expected.count): \(data.count) bytes")
        }
    }

    private func complete() {
        if isInterim {
            if head == nil { sendBody() }
            return
        }
        guard let (trial, end) = awaiting.first, let head else { return }
        if head.count("x-tag") == 1, bodyOffset != trial.responseBody.count {
            return fault("\(bodyOffset) bytes of \(trial.responseBody.count) as the whole answer to \(trial.tag)")
        }
        if head.count("x-tag") == 1, trial.behaviour.fails, trial.behaviour != .stall, trial.hasResponseBody,
            trial.responseBytes > 0
        {
            return fault("a whole answer to \(trial.tag), of which the backend sent a part")
        }
        self.head = nil
        awaiting.removeFirst()
        trial.answers += 1
        world.answered += 1
        let mayContinue = trial.isVersion10 ? head.says("keep-alive") : !head.says("close")
        if mayContinue, link.bytesRead < end {
            return fault(
                "an answer to \(trial.tag), of whose request \(end - link.bytesRead) bytes are unread, that keeps the connection")
        }
        if !mayContinue {
            let isUnread = trial.framing != .none && (trial.behaviour != .answer || trial.stageAnswers)
            if trial.asksToClose || trial.isVersion10 || isUnread { world.voided += awaiting.count + trials.count - sent }
            return answeredLast()
        }
        if trial.asksToClose { return fault("an answer to \(trial.tag) that ignores Connection: close") }
        proceed()
    }

    private func proceed() {
        if sent < trials.count {
            guard !isPipelining else { return }
            let think = world.network.oneIn(3) ? world.network.upTo(world.scenario.thinkTime) : 0
            world.network.after(think) { [self] in if !isDone, !isLast { sendNext() } }
        } else if awaiting.isEmpty {
            switch manner {
            case .halfCloses, .lingers: break
            default: hangUp()
            }
        }
    }

    private func answeredLast() {
        isLast = true
        awaiting.removeAll()
        // Some go on with what they were about to send, some wait for the end, some leave.
        switch world.network.upTo(2) {
        case 0:
            link.forgetOperations()
            hangUp()
        case 1: hangUp()
        default: break
        }
    }

    private func hangUp() {
        link.add(.call { [self] in leave() })
        link.add(.close)
    }

    func ended(_ link: Link, reset: Bool) {
        guard !hasLeft else { return }
        if !reset, reader.endsWithConnection {
            isLast = true
            complete()
            awaiting.removeAll()
        } else if let (trial, end) = awaiting.first, !isLast, !hasLeft {
            // A request that the gateway has read to its end is answered, or broken off for a reason.
            let hasPart = head != nil || reader.leftover > 0
            let wasForgotten = link.bytesArrived >= end && world.network.now > link.arrivedAt + 1_000_000_000
            // What breaks a later answer off may take this one with it, if it is still on its way.
            let mayBreak = awaiting.contains {
                world.mayBreak(
                    $0.trial, clientIsAtFault: isAtFault, bytesBehindHead: sentBytes - $0.end + $0.trial.wire.body.count)
            }
            if link.bytesRead >= end || hasPart || wasForgotten, !mayBreak {
                world.violation(
                    "client \(number): the request \(trial.tag) was read and not answered; reset \(reset), part of an answer \(hasPart)"
                )
            }
        }
        leave()
        link.forgetOperations()
        link.add(.close)
    }
}

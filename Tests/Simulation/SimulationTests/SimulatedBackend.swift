/// One connection to a simulated instance: reads requests strictly, and answers each as its trial says.
final class SimulatedBackend: Endpoint {
    unowned let world: World
    let instance: Int
    let number: Int
    private(set) var link: Link!
    private var reader = MessageReader()
    private var trial: Trial?
    private var answering: Trial?
    private var bodyOffset = 0
    /// The end of the last response is not with the gateway yet.
    private var isAnswering = false
    /// The request under way is read for its rest only: its answer has begun.
    private var hasAnswered = false
    /// Nothing that comes is looked at any more.
    private var isDeaf = false

    init(_ world: World, instance: Int, number: Int) {
        self.world = world
        self.instance = instance
        self.number = number
        link = Link(world.network, self, name: "backend \(number) of instance \(instance)")
        world.network.links.append(link)
    }

    /// Nothing that comes is looked at any more.
    func fallSilent() { isDeaf = true }

    var awaitsRequest: Bool { trial == nil && !isAnswering }

    func opened(_ link: Link) {}

    func ended(_ link: Link, reset: Bool) {
        isDeaf = true
        link.forgetOperations()
        link.add(.close)
    }

    func received(_ bytes: [UInt8], _ link: Link) {
        guard !isDeaf else { return }
        if trial == nil, isAnswering {
            world.violation("\(link.name) got bytes before its answer had gone out")
        }
        reader.append(bytes)
        while !isDeaf {
            switch reader.next() {
            case .needMore: return
            case .head(let head): begin(head)
            case .data(let data): body(data)
            case .end: end()
            case .fault(let text):
                world.violation("\(link.name) got what is no request: \(text)")
                isDeaf = true
            }
        }
    }

    private func begin(_ head: MessageHead) {
        guard trial == nil, !isAnswering else { return fault("a request before the last one was answered") }
        guard let tag = head.value("x-tag").flatMap({ Int($0) }), let trial = world.trials[tag] else {
            return fault("a request without a tag: \(head.start)")
        }
        guard head.start == "\(trial.method) \(trial.path) HTTP/1.1" else { return fault("\(head.start) for tag \(tag)") }
        guard let framing = requestFraming(head) else { return fault("ambiguous framing for tag \(tag)") }
        guard head.count("host") == 1, head.count("via") == 1, head.count("x-request-id") == 1 else {
            return fault("fields missing or doubled for tag \(tag)")
        }
        if case .length(let n) = framing, n != trial.requestBytes { return fault("Content-Length \(n) for tag \(tag)") }
        if framing == .none, trial.requestBytes > 0 { return fault("no body for tag \(tag)") }
        trial.seenBy.insert(number)
        // The first try, the one behind a stale connection, and the policy's two.
        let most = trial.isIdempotent ? 4 : 1
        if trial.seenBy.count > most { return fault("tag \(tag) (\(trial.method)) for the \(trial.seenBy.count)th time") }
        self.trial = trial
        bodyOffset = 0
        hasAnswered = false
        reader.beginBody(framing)
        switch trial.behaviour {
        case .answerEarly, .answerDuplex, .garbage: answer(trial)
        default: break
        }
    }

    private func body(_ data: [UInt8]) {
        guard let trial else { return }
        let expected = trial.requestBody
        guard continues(expected, at: bodyOffset, data) else {
            return fault("the body of another request under tag \(trial.tag)")
        }
        bodyOffset += data.count
        trial.bodySeenBy.insert(number)
        if trial.bodySeenBy.count > (trial.isIdempotent ? 4 : 1) { fault("the body of tag \(trial.tag) a second time") }
    }

    private func end() {
        guard let trial else { return }
        if bodyOffset != trial.requestBytes {
            return fault("tag \(trial.tag) ended after \(bodyOffset) bytes of \(trial.requestBytes)")
        }
        if !hasAnswered { answer(trial) }
        self.trial = nil
        if trial.behaviour == .answerDuplex { rest(trial, body(trial)) }
    }

    private func fault(_ text: String) {
        world.violation("\(link.name) got \(text)")
        isDeaf = true
    }

    private func answer(_ trial: Trial) {
        world.trace("\(link.name) answers \(trial.tag)")
        hasAnswered = true
        isAnswering = true
        answering = trial
        if world.backendsCloseIdle, world.network.oneIn(2) { link.forgetOperations() }
        switch world.condition(of: instance) {
        case .up: break
        case .dead, .hanging, .cutOff: return
        case .slow: link.add(.pause(world.network.upTo(2_500_000_000)))
        case .erring:
            if world.network.oneIn(3) { break }
            trial.lostConnection = true
            if world.network.oneIn(2) { return hangUp(world.network.oneIn(2) ? .close : .reset) }
            link.write(Array("HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".utf8))
            return hangUp(.close)
        }
        if trial.delay > 0 { link.add(.pause(trial.delay)) }
        for i in 0..<trial.interims { link.write(Array("HTTP/1.1 103 Early Hints\r\nLink: </\(i)>\r\n\r\n".utf8)) }
        switch trial.behaviour {
        case .answer, .answerEarly, .answerAndMore: whole(trial)
        case .answerDuplex: link.write(head(trial))
        case .closeBeforeHead: hangUp(.close)
        case .resetBeforeHead: hangUp(.reset)
        case .hang: break
        case .truncate(let resets):
            let bytes = head(trial) + body(trial)
            let atMost = trial.responseFraming == .untilClose && !resets ? head(trial).count - 1 : bytes.count - 1
            link.write(Array(bytes[..<Int(world.network.upTo(UInt64(atMost)))]))
            hangUp(resets ? .reset : .close)
        case .breakChunk:
            let start = trial.responseBody.prefix(5)
            link.write(head(trial) + Array("\(start.count)\r\n".utf8) + start + Array("\r\nzz\r\n".utf8))
        case .garbage:
            link.write(Array("SSH-2.0-OpenSSH_9.2p1\r\n\r\n".utf8))
        case .hugeHead:
            link.write(Array(("HTTP/1.1 200 OK\r\nX-Huge: " + String(repeating: "x", count: 80_000) + "\r\n\r\n").utf8))
        case .stall:
            let bytes = head(trial) + body(trial)
            let middle = Int(world.network.upTo(UInt64(bytes.count) - 1))
            link.write(Array(bytes[..<middle]))
            link.add(.pause(world.patience * 2))
            link.write(Array(bytes[middle...]))
        case .switchProtocols:
            link.write(Array("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n".utf8))
        case .endlessInterims:
            for _ in 0..<40 { link.write(Array("HTTP/1.1 102 Processing\r\n\r\n".utf8)) }
        }
    }

    private func hangUp(_ how: Link.Operation) {
        link.add(.call { [self] in isDeaf = true })
        link.add(how)
    }

    private func whole(_ trial: Trial) {
        let pause = world.network.oneIn(4) ? world.network.upTo(500_000_000) : 0
        let head = head(trial)
        let body = body(trial)
        if pause > 0, !body.isEmpty {
            link.write(head)
            link.add(.pause(pause))
            rest(trial, body)
        } else {
            rest(trial, head + body)
        }
    }

    /// The last bytes of an answer, and what becomes of the connection.
    private func rest(_ trial: Trial, _ bytes: [UInt8]) {
        if !bytes.isEmpty { link.write(bytes) }
        link.add(.call { [self] in isAnswering = false })
        if trial.behaviour == .answerAndMore {
            let more = Array("and more\r\n\r\n".utf8)
            link.write(more)
            link.add(.call { [self] in link.unaskedFrom = link.bytesArrived - more.count + 1 })
        }
        if trial.closesBackend {
            hangUp(world.network.oneIn(2) ? .close : .fin)
        } else if world.backendsCloseIdle, world.network.oneIn(2) {
            link.add(.pause(world.network.upTo(2_000_000_000)))
            link.add(
                .call { [self] in
                    isDeaf = true
                    if self.trial != nil || isAnswering { (self.trial ?? answering)?.lostConnection = true }
                })
            link.add(world.network.oneIn(3) ? .reset : .close)
        }
    }

    private func head(_ trial: Trial) -> [UInt8] {
        var text = "HTTP/1.\(trial.backendIsVersion10 ? 0 : 1) \(trial.status) Whatever\r\nX-Tag: \(trial.tag)\r\n"
        if trial.backendCloses { text += "Connection: close\r\n" }
        if trial.status != 204 {
            switch trial.responseFraming {
            case .length: text += "Content-Length: \(trial.responseBytes)\r\n"
            case .chunked: text += "Transfer-Encoding: chunked\r\n"
            case .untilClose: break
            }
        }
        return Array((text + "\r\n").utf8)
    }

    private func body(_ trial: Trial) -> [UInt8] {
        guard trial.hasResponseBody else { return [] }
        if trial.responseFraming == .chunked {
            return chunked(trial.responseBody, trailer: trial.hasTrailers ? "X-Sum: 1\r\n" : "")
        }
        return Array(trial.responseBody)
    }
}

/// What one client is going to do.
struct ClientPlan {
    var trials: [Trial]
    var manner = SimulatedClient.Manner.proper
    var isPipelining = false
    /// Nanoseconds between the first request and the rest, which then comes at once.
    var pause: UInt64 = 0
    /// Nanoseconds between two reads, at most; nil leaves it to the dice.
    var readDelay: UInt64?
    /// When it comes; nil leaves it to the dice.
    var arrival: UInt64?
}

/// What a run is like: how many of everything, and which faults there are. Drawn from the run's dice.
struct Scenario {
    /// The faults of a run; each run draws some of these.
    var networkFaults = VirtualNetwork.Faults()
    var backendsFail = false
    var backendsCloseIdle = false
    var backendsSayMore = false
    var connectsFail = false
    var connectsHang = false
    /// Nanoseconds that connecting takes; nil leaves it to the dice.
    var connectDelay: UInt64?
    var clientsMisbehave = false
    var stagesHang = false
    /// Few connections, and a short queue.
    var isScarce = false
    /// Requests have two seconds in all.
    var requestTimeout = false
    var drainsEarly = false
    /// Instances fail and recover, breakers and health see to it, and the transitions are written down.
    var isStorm = false
    /// Nothing happens to instances but what the trials say.
    var hasWeather = true
    /// Instances are checked.
    var hasChecks = false

    var workerCount = 1
    var clientCount = 1
    var stageCount = 1
    var reloadCount = 0
    var instanceCount = 1
    /// Connections to one instance, at most, whichever configuration is in force.
    var poolMaximum = 50
    /// Nanoseconds over which the clients arrive.
    var arrivalSpread: UInt64 = 0
    var requestsPerConnection = 1_000
    var idleTimeoutSeconds = 3
    /// Nanoseconds between an answer and the next request, at most.
    var thinkTime: UInt64 = 1_000_000_000

    /// Bytes of a request's body.
    static var bodyLimit: Int { 100_000 }

    /// One worker, and nothing that goes wrong.
    init() {}

    init(drawnFrom network: VirtualNetwork) {
        networkFaults.shortWrites = network.oneIn(2)
        networkFaults.lateEvents = network.oneIn(2)
        networkFaults.spuriousEvents = network.oneIn(3)
        networkFaults.acceptErrors = network.oneIn(8)
        if !network.oneIn(4) {
            backendsFail = network.oneIn(2)
            backendsCloseIdle = network.oneIn(3)
            backendsSayMore = network.oneIn(6)
            connectsFail = network.oneIn(4)
            connectsHang = network.oneIn(6)
            clientsMisbehave = network.oneIn(2)
            stagesHang = network.oneIn(4)
            isScarce = network.oneIn(3)
            requestTimeout = network.oneIn(10)
            drainsEarly = network.oneIn(10)
        }
        workerCount = network.oneIn(3) ? 2 : 1
        clientCount = 1 + Int(network.upTo(9))
        stageCount = 1 + Int(network.upTo(2))
        reloadCount = network.oneIn(2) ? 0 : 1 + Int(network.upTo(3))
        instanceCount = 1 + Int(network.upTo(2))
        arrivalSpread = network.pick([0, 50_000_000, 2_000_000_000])
        requestsPerConnection = network.pick([2, 5, 1_000])
        if isScarce { poolMaximum = 1 + Int(network.upTo(2)) }
        idleTimeoutSeconds = network.pick([1, 3, 30])
    }

    /// A run in which instances fail.
    init(stormFrom network: VirtualNetwork) {
        isStorm = true
        hasChecks = network.oneIn(2)
        networkFaults.lateEvents = network.oneIn(2)
        networkFaults.shortWrites = network.oneIn(4)
        backendsCloseIdle = network.oneIn(3)
        clientsMisbehave = network.oneIn(3)
        connectsFail = network.oneIn(6)
        isScarce = network.oneIn(3)
        requestTimeout = network.oneIn(3)
        drainsEarly = network.oneIn(10)
        workerCount = 1 + Int(network.upTo(1))
        clientCount = 25 + Int(network.upTo(50))
        instanceCount = 1 + Int(network.upTo(2))
        arrivalSpread = network.pick([4_000_000_000, 8_000_000_000])
        thinkTime = 300_000_000
        if isScarce { poolMaximum = 1 + Int(network.upTo(2)) }
        idleTimeoutSeconds = network.pick([1, 3])
    }

    /// What services do about failures; small numbers, so that a short run sees all of it.
    private var resilience: String {
        guard isStorm else { return "" }
        let check = hasChecks ? "health_check: {path: /health, interval: 2s, timeout: 500ms, rise: 2, fall: 2}\n    " : ""
        return """
            \(check)circuit_breaker: {failure_threshold: 4, success_threshold: 2, open_timeout: 500ms, open_timeout_max: 2s, half_open_max: \(Self.halfOpenMax), minimum_requests: 6, error_rate_threshold: 0.5}
            """
    }

    static var halfOpenMax: Int { 2 }

    /// Nothing is wrong above TCP, so every request gets its backend's answer.
    var isCalm: Bool {
        !backendsFail && !backendsCloseIdle && !backendsSayMore && !connectsFail && !connectsHang && !clientsMisbehave
            && !stagesHang
            && !isStorm && !isScarce && !requestTimeout && !drainsEarly && !networkFaults.acceptErrors
            && requestsPerConnection == 1_000
    }

    /// Three variants of one configuration: a reload goes from one to the next. Their instances overlap; they have the routes and the
    /// listener in common.
    func configuration(variant: Int) -> String {
        let first = variant == 0 ? 1 : variant
        let instances = (first..<first + instanceCount).map { "{url: \"http://10.0.0.\($0):80\", weight: \($0)}" }.joined(
            separator: ", ")
        let pool = variant == 2 ? max(1, poolMaximum - 1) : poolMaximum
        let queue = isScarce ? "{max_pending: 3, timeout: 1s}" : "{max_pending: 1000, timeout: 20s}"
        return """
            server: {via: sim}
            admin: {enabled: false}
            access_log: {output: none}
            listeners: [{name: web, address: "127.0.0.1:8000"}]
            limits: {request_body: \(Self.bodyLimit), header_timeout: 4s, body_idle_timeout: 4s, body_min_rate: 0, write_timeout: 4s,
              keepalive_timeout: 5s, requests_per_connection: \(requestsPerConnection)}
            services:
              app:
                instances: [\(instances)]
                timeouts: {connect: 2s, response: \(isStorm ? 1 : 4)s, idle: 4s, request: \(requestTimeout ? "2s" : "\"off\"")}
                pool: {max_connections: \(pool), idle_timeout: \(idleTimeoutSeconds)s, max_requests_per_connection: \(requestsPerConnection)}
                queue: \(queue)
                \(resilience)
            routes:
              - {name: plain, match: {path: "/plain/*"}, service: app}
              - {name: staged, match: {path: "/staged/*"}, service: app}
            """
    }

    func drawClient(_ network: VirtualNetwork, tag: inout Int) -> ClientPlan {
        let count = 1 + Int(network.upTo(network.pick(isStorm ? [5, 20] : [0, 3, 8])))
        var trials: [Trial] = []
        let isPipelining = network.oneIn(4)
        for index in 0..<count {
            tag += 1
            let trial = Trial(tag: tag)
            drawRequest(trial, network, isLast: index == count - 1)
            drawResponse(trial, network)
            trials.append(trial)
        }
        return ClientPlan(trials: trials, manner: drawManner(network, trials), isPipelining: isPipelining)
    }

    private func drawManner(_ network: VirtualNetwork, _ trials: [Trial]) -> SimulatedClient.Manner {
        let sent = trials.reduce(0) { $0 + $1.wire.head.count + $1.wire.body.count }
        let got = trials.reduce(0) { $0 + $1.responseBytes + 250 }
        guard clientsMisbehave, network.oneIn(2) else { return network.pick([.proper, .proper, .halfCloses, .lingers]) }
        switch network.upTo(4) {
        case 0, 1: return .leavesSending(after: Int(network.upTo(UInt64(sent - 1))), resets: network.oneIn(2))
        case 2: return .leavesReceiving(after: 1 + Int(network.upTo(UInt64(got))), resets: network.oneIn(2))
        case 3:
            return .stopsReading(
                after: Int(network.upTo(UInt64(got))), nanoseconds: network.pick([1_000_000_000, 20_000_000_000]))
        default: return .stopsSending(after: Int(network.upTo(UInt64(sent - 1))))
        }
    }

    private func drawBytes(_ network: VirtualNetwork) -> Int {
        Int(network.upTo(network.pick(isStorm ? [0, 10, 500] : [0, 10, 500, 5_000, 5_000, 70_000])))
    }

    private func drawRequest(_ trial: Trial, _ network: VirtualNetwork, isLast: Bool) {
        trial.route = network.oneIn(2) ? "plain" : "staged"
        trial.method = network.pick(["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE"])
        trial.isVersion10 = isLast && network.oneIn(8)
        trial.asksToClose = isLast && network.oneIn(4)
        if ["POST", "PUT"].contains(trial.method) {
            trial.framing = trial.isVersion10 ? .length : network.pick([.length, .chunked])
            trial.requestBytes = drawBytes(network)
            trial.expectsContinue = !trial.isVersion10 && network.oneIn(6)
            trial.hasTrailers = network.oneIn(4)
        }
        guard clientsMisbehave, isLast, network.oneIn(5) else { return }
        if trial.framing != .none {
            trial.isTooLarge = true
            trial.requestBytes = Self.bodyLimit + 1 + Int(network.upTo(20_000))
        } else {
            trial.isMalformed = true
        }
    }

    private func drawResponse(_ trial: Trial, _ network: VirtualNetwork) {
        trial.delay = network.oneIn(2) ? 0 : network.upTo(300_000_000)
        trial.status = network.pick([200, 200, 200, 200, 204, 304, 404, 500])
        trial.responseFraming = network.pick([.length, .length, .chunked, .untilClose])
        if isStorm { trial.delay /= 10 }
        trial.responseBytes = !isStorm && network.oneIn(12) ? Int(network.upTo(300_000)) : drawBytes(network)
        trial.interims = network.oneIn(6) ? 1 + Int(network.upTo(3)) : 0
        trial.backendCloses = network.oneIn(6)
        trial.backendIsVersion10 = network.oneIn(12)
        if trial.backendIsVersion10 {
            trial.interims = 0
            if trial.responseFraming == .chunked { trial.responseFraming = .untilClose }
        }
        if trial.requestBytes > 0, network.oneIn(8) {
            trial.behaviour = .answerEarly
            // Closing over what still comes would reset the answer.
            if !backendsFail, trial.closesBackend { trial.behaviour = .answer }
        } else if trial.requestBytes > 0, trial.hasResponseBody, trial.responseBytes > 0, !trial.expectsContinue, network.oneIn(8)
        {
            trial.behaviour = .answerDuplex
        }
        if backendsSayMore, network.oneIn(4) { trial.behaviour = .answerAndMore }
        if backendsFail, network.oneIn(3) {
            trial.behaviour = network.pick([
                .closeBeforeHead, .resetBeforeHead, .hang, .truncate(resets: false), .truncate(resets: true), .breakChunk,
                .garbage,
                .hugeHead, .stall, .switchProtocols, .endlessInterims,
            ])
            if trial.behaviour == .breakChunk {
                trial.responseFraming = .chunked
                trial.status = 200
                trial.backendIsVersion10 = false
                trial.responseBytes = max(5, trial.responseBytes)
                if trial.method == "HEAD" { trial.method = "GET" }
            }
        }
        // What follows a body that ends with the connection belongs to it.
        if trial.behaviour == .answerAndMore, trial.responseFraming == .untilClose { trial.responseFraming = .length }
        // Without a body there is nothing to be cut short.
        if case .truncate = trial.behaviour, !trial.hasResponseBody || trial.responseBytes == 0 {
            trial.behaviour = .closeBeforeHead
        }
        if trial.behaviour == .stall, !trial.hasResponseBody { trial.behaviour = .hang }
    }
}

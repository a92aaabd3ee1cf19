import Glibc
import Synchronization
import Testing

/// The gateway under virtual time, on a virtual network that does what networks do. Each test draws its worlds from seeds; a failure names the
/// seed, and `SLUICE_SIM_SEED=n` runs that one alone. `SLUICE_SIM_RUNS=n` sets how many there are.
@Suite(.serialized) struct SimulationTests {
    @Test func `no fault of client, backend or network breaks an invariant`() {
        if let text = environment("SLUICE_SIM_SEED"), let seed = UInt64(text) { return expectSound(seed) }
        let runs = environment("SLUICE_SIM_RUNS").flatMap { UInt64($0) } ?? 400
        let first = environment("SLUICE_SIM_FIRST").flatMap { UInt64($0) } ?? 1
        var failures = 0
        for seed in first..<first + runs where failures < 5 {
            let problems = problems(of: seed)
            if !problems.isEmpty {
                failures += 1
                Issue.record("seed \(seed): \(problems.prefix(4).joined(separator: "; "))")
            }
        }
    }

    /// Where `SLUICE_SIM_TRANSITIONS` names a folder, the transitions of some runs in which much happened are left there, for
    /// Tests/Conformance to replay against the specification.
    @Test func `failing instances get no request, an open breaker sends none, and nothing is counted twice or lost`() {
        let only = environment("SLUICE_SIM_SEED").flatMap { UInt64($0) }
        let runs = only == nil ? environment("SLUICE_SIM_RUNS").flatMap { UInt64($0) } ?? 120 : 1
        let first = only ?? environment("SLUICE_SIM_FIRST").flatMap { UInt64($0) } ?? 1
        let folder = environment("SLUICE_SIM_TRANSITIONS")
        var seen: [Substring: Int] = [:]
        var failures = 0
        var kept = 0
        for seed in first..<first + runs where failures < 5 {
            nameSeedOnCrash(seed)
            let world = World(storm: seed)
            world.keepsTransitions = folder != nil
            let problems = world.run()
            seen.merge(world.rules.seen) { $0 + $1 }
            if !problems.isEmpty {
                failures += 1
                Issue.record("storm \(seed): \(problems.prefix(4).joined(separator: "; "))")
            }
            let isWanted = kept < Self.keptMax && world.rules.sawMuch(wanting: kept % 2 == 0 ? "check" : "UNKNOWN")
            if let folder, isWanted || !problems.isEmpty {
                world.keepTransitions(in: folder)
                kept += 1
            }
        }
        // Without these there was no storm.
        for event: Substring in [
            "FAILED", "HEALTHY", "UNKNOWN", "open", "half_open", "closed", "retry", "queue", "refuse", "abort",
        ] where runs >= 100 {
            #expect(seen[event, default: 0] > 0, "\(event) never occurred in \(runs) runs")
        }
        if folder != nil, runs >= 100 { #expect(kept >= Self.keptMax) }
    }

    /// Each takes the replay about two seconds.
    private static var keptMax: Int { 4 }

    // What the simulation has found, each under many timings.

    @Test func `the requests behind the first are answered though the client has shut its writing side`() {
        expectSound { _ in
            let trials = (1...4).map { tag in
                Trial(tag: tag) {
                    $0.route = "staged"
                    $0.requestStage = tag == 1 ? .answer : .proceed
                    $0.responseStage = .proceed
                }
            }
            return (Scenario(), [ClientPlan(trials: trials, manner: .halfCloses, isPipelining: true)])
        }
    }

    @Test func `a middleware that never resumes over our own answer ends in 504`() {
        expectSound { _ in
            let trial = Trial(tag: 1) {
                $0.route = "staged"
                $0.behaviour = .closeBeforeHead
                $0.requestStage = .proceed
                $0.responseStage = .hang
            }
            return (Scenario(), [ClientPlan(trials: [trial])])
        }
    }

    @Test func `a backend that connects after the request's time is up does not get the request`() {
        expectSound { seed in
            var scenario = Scenario()
            scenario.requestTimeout = true
            scenario.connectDelay = 1_500_000_000 + seed * 50_000_000
            let trial = Trial(tag: 1) {
                $0.route = "staged"
                $0.requestStage = .proceed
                $0.responseStage = .suspend(1_000_000_000)
            }
            return (scenario, [ClientPlan(trials: [trial])])
        }
    }

    @Test func `a client that shuts its side while what it sent is thrown away gets the whole answer`() {
        expectSound { _ in
            let first = Trial(tag: 1) {
                $0.method = "POST"
                $0.framing = .length
                $0.requestBytes = 3_000
                $0.route = "staged"
                $0.requestStage = .answer
                $0.responseStage = .proceed
            }
            let behind = (2...9).map { tag in Trial(tag: tag) { $0.responseBytes = 10 } }
            let plan = ClientPlan(
                trials: [first] + behind, manner: .halfCloses, isPipelining: true, pause: 400_000_000, readDelay: 1_000_000_000)
            return (Scenario(), [plan])
        }
    }

    @Test func `a connection whose answer is on its way is not closed for want of descriptors`() {
        expectSound { _ in
            var scenario = Scenario()
            scenario.networkFaults.acceptErrors = true
            scenario.arrivalSpread = 100_000_000
            let plans = (1...8).map { tag in ClientPlan(trials: [Trial(tag: tag) { $0.responseBytes = 20_000 }]) }
            return (scenario, plans)
        }
    }

    @Test func `a head that cannot be read is answered and lingered on, whatever its exchange served before`() {
        expectSound { _ in
            let last = Trial(tag: 1) { $0.asksToClose = true }
            let broken = Trial(tag: 2) { $0.isMalformed = true }
            return (Scenario(), [ClientPlan(trials: [last]), ClientPlan(trials: [broken])])
        }
    }

    @Test func `a client is not blamed for a body that waits for a middleware`() {
        expectSound { _ in
            let trial = Trial(tag: 1) {
                $0.route = "staged"
                $0.method = "POST"
                $0.framing = .chunked
                $0.requestBytes = 50_000
                $0.behaviour = .answerEarly
                $0.requestStage = .proceed
                $0.responseStage = .hang
            }
            return (Scenario(), [ClientPlan(trials: [trial])])
        }
    }

    @Test func `a request goes on when the middleware that held its early answer resumes`() {
        expectSound { _ in
            let trial = Trial(tag: 1) {
                $0.route = "staged"
                $0.method = "POST"
                $0.framing = .chunked
                $0.requestBytes = 70_000
                $0.responseBytes = 500
                $0.behaviour = .answerDuplex
                $0.requestStage = .proceed
                $0.responseStage = .suspend(200_000_000)
            }
            return (Scenario(), [ClientPlan(trials: [trial])])
        }
    }

    @Test func `an empty chunked body is not forgotten when the kept-alive connection dies under it`() {
        expectSound { _ in
            var scenario = Scenario()
            scenario.backendsCloseIdle = true
            let trials = (1...8).map { tag in
                Trial(tag: tag) {
                    $0.method = tag % 2 == 0 ? "PUT" : "GET"
                    $0.framing = tag % 2 == 0 ? .chunked : .none
                    $0.delay = 700_000_000
                }
            }
            return (scenario, [ClientPlan(trials: trials)])
        }
    }

    @Test func `a probe whose connection comes about after its breaker has opened again is not sent beside the next probes`() {
        expectSound { _ in
            var scenario = Scenario()
            scenario.isStorm = true
            scenario.hasWeather = false
            scenario.connectDelay = 1_700_000_000
            let milliseconds: UInt64 = 1_000_000
            // Four errors open the breaker for half a second; one connection is kept.
            var plans = (1...4).map { tag in
                ClientPlan(
                    trials: [
                        Trial(tag: tag) {
                            $0.status = 503
                            $0.backendCloses = tag > 1
                        }
                    ], arrival: 0)
            }
            // A probe on it opens the breaker for a second, while another one waits for its connection.
            plans.append(ClientPlan(trials: [Trial(tag: 5) { $0.status = 503 }], arrival: 2300 * milliseconds))
            plans.append(ClientPlan(trials: [Trial(tag: 6)], arrival: 2310 * milliseconds))
            // Two probes of the next half-open state are under way when it comes about.
            plans.append(ClientPlan(trials: [Trial(tag: 7) { $0.delay = 900 * milliseconds }], arrival: 3400 * milliseconds))
            plans.append(ClientPlan(trials: [Trial(tag: 8)], arrival: 3410 * milliseconds))
            return (scenario, plans)
        }
    }

    /// Runs a plan under forty timings of the network.
    private func expectSound(_ plan: (UInt64) -> (Scenario, [ClientPlan])) {
        for seed: UInt64 in 1...40 {
            nameSeedOnCrash(seed)
            let problems = World(seed: seed, plan: plan(seed)).run()
            #expect(problems.isEmpty, "timing \(seed): \(problems.prefix(4).joined(separator: "; "))")
            if !problems.isEmpty { return }
        }
    }

    private func problems(of seed: UInt64) -> [String] {
        nameSeedOnCrash(seed)
        return World(seed: seed).run()
    }

    private func expectSound(_ seed: UInt64) {
        let problems = problems(of: seed)
        #expect(problems.isEmpty, "seed \(seed): \(problems.prefix(4).joined(separator: "; "))")
    }

    private func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}

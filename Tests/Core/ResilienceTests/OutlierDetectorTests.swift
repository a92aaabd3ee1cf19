import Primitives
import Testing

@testable import Resilience

@Suite struct OutlierDetectorTests {
    struct Bench {
        var detector: OutlierDetector
        var random = RandomSource(seed: 1)

        init(_ instances: Int) { detector = OutlierDetector(policy: .init(), instances: instances) }

        mutating func record(
            _ outcome: CallOutcome, _ at: Double, instance: Int = 0, usable: Int = 4, took: TimeAmount = .zero
        ) -> OutlierDetector.Change? {
            detector.record(outcome, instance: instance, duration: took, usable: usable, at: second(at), random: &random)
        }

        mutating func fail(_ instance: Int, _ at: Double, usable: Int = 4) -> OutlierDetector.Change? {
            for _ in 0..<4 { _ = record(.serverError, at, instance: instance, usable: usable) }
            return record(.serverError, at, instance: instance, usable: usable)
        }

        func span(_ instance: Int, from at: Double) -> Double {
            Double(detector.ejectedUntil(instance)?.since(second(at)).nanoseconds ?? 0) / 1_000_000_000
        }
    }

    @Test(
        arguments: [
            (CallOutcome.serverError, 5), (.connectFailed, 3), (.timedOut, 3), (.broken, 3), (.answered, nil), (.stale, nil),
            (.clientGone, nil), (.givenUp, nil),
        ] as [(CallOutcome, Int?)])
    func `an instance is ejected after so many failures in a row`(outcome: CallOutcome, times: Int?) {
        var bench = Bench(4)
        for i in 1...20 {
            let change = bench.record(outcome, 1)
            if i == times {
                guard case .ejected(0, _, _) = change else {
                    Issue.record("not ejected at \(i)")
                    return
                }
            } else {
                #expect(change == nil, "\(i)")
            }
        }
    }

    @Test func `a success between failures starts the count over, and an abort does not`() {
        var bench = Bench(4)
        for _ in 0..<4 { _ = bench.record(.serverError, 1) }
        _ = bench.record(.answered, 1)
        for _ in 0..<4 { #expect(bench.record(.serverError, 1) == nil) }
        #expect(bench.record(.clientGone, 1) == nil)
        #expect(bench.record(.serverError, 1) != nil)
    }

    @Test func `each further ejection is 30 s longer, up to 300 s, and quiet times make it shorter again`() {
        var bench = Bench(4)
        var now = 0.0
        for times in 1...12 {
            _ = bench.fail(0, now)
            let expected = Double(min(300, 30 * times))
            #expect((expected * 0.9...expected).contains(bench.span(0, from: now)), "\(times)")
            now += 301
            #expect(bench.detector.tick(at: second(now)) == [.returned(instance: 0)])
        }
        now += 30 * 11
        _ = bench.fail(0, now)
        #expect((54...60).contains(bench.span(0, from: now)))
    }

    @Test func `at most half of a service is out`() {
        for (instances, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (9, 4)] {
            var bench = Bench(instances)
            for i in 0..<instances { _ = bench.fail(i, 1, usable: instances - i) }
            #expect(bench.detector.ejectedCount == most, "\(instances)")
        }
    }

    @Test func `the last instance that takes traffic stays in`() {
        var bench = Bench(4)
        #expect(bench.fail(0, 1, usable: 1) == nil)
        #expect(bench.record(.serverError, 1, usable: 2) != nil)
    }

    @Test func `it returns when its time is over, and what began before that does not throw it out again`() {
        var bench = Bench(4)
        _ = bench.fail(0, 0)
        #expect(bench.detector.tick(at: second(26)).isEmpty)
        #expect(bench.detector.tick(at: second(30)) == [.returned(instance: 0)])
        for _ in 0..<9 { #expect(bench.record(.timedOut, 31, took: .seconds(5)) == nil) }
        #expect(bench.detector.isClean(0))
    }

    @Test func `passing checks bring it back only after one has failed`() {
        var bench = Bench(4)
        _ = bench.fail(0, 0)
        #expect(bench.detector.checksPassed(0, at: second(1)) == nil)
        bench.detector.checkFailed(0)
        #expect(bench.detector.checksPassed(0, at: second(2)) == .returned(instance: 0))
    }

    @Test func `a reload carries ejections over to where the instances are now`() {
        var bench = Bench(4)
        _ = bench.fail(2, 0)
        let until = bench.detector.ejectedUntil(2)
        bench.detector.adopt(previous: [2, nil, 0])
        #expect(bench.detector.count == 3 && bench.detector.ejectedUntil(0) == until && bench.detector.ejectedCount == 1)
    }
}

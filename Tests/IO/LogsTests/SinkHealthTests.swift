import Primitives
import Testing

@testable import Logs

@Suite struct SinkHealthTests {
    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    @Test func `a failure is said once, and so is its end, with what was lost`() {
        var health = SinkHealth()
        #expect(health.worked(lost: 3, at: at(0)) == nil)
        #expect(health.failed("full", lost: 3, at: at(1)) == .fails("full"))
        #expect(health.failed("full", lost: 9, at: at(2)) == nil)
        #expect(health.worked(lost: 12, at: at(1_002)) == .works(lost: 9))
        #expect(health.worked(lost: 12, at: at(9_000)) == nil)
        #expect(health.isDue == .never)
    }

    @Test func `a log that fails every other time is said to fail, and no more`() {
        var health = SinkHealth()
        #expect(health.failed("full", lost: 0, at: at(0)) != nil)
        for i in UInt64(1)...50 {
            #expect(health.worked(lost: i, at: at(i * 500 - 1)) == nil)
            #expect(health.failed("full", lost: i, at: at(i * 500)) == nil)
        }
        #expect(health.isDue == at(26_000))
    }

    @Test func `a receiver that is away is tried after half a second, then twice as long, up to half a minute`() {
        var backoff = Backoff()
        var waits: [UInt64] = []
        for _ in 0..<9 { waits.append(backoff.failed(at: at(1_000)).since(at(1_000)).nanoseconds / 1_000_000) }
        #expect(waits == [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
    }

    @Test func `a connection that held is made again at once, a short one is one more failure`() {
        var backoff = Backoff()
        #expect(backoff.failed(at: at(0)) == at(500))
        #expect(backoff.lost(since: at(1_000), at: at(2_000)) == at(3_000))
        #expect(backoff.lost(since: at(3_000), at: at(13_000)) == at(13_000))
        #expect(backoff.failed(at: at(13_000)) == at(13_500))
    }
}

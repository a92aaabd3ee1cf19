import Primitives
import Testing

@testable import Resilience

@Suite struct RequestDeadlineTests {
    @Test func `what a peer announces shortens a deadline and never lengthens it`() {
        #expect(RequestDeadline(arrived: second(1), timeout: .seconds(5)).instant == second(6))
        #expect(RequestDeadline(arrived: second(1), timeout: .seconds(5), announced: .seconds(2)).instant == second(3))
        #expect(RequestDeadline(arrived: second(1), timeout: .seconds(5), announced: .seconds(60)).instant == second(6))
        #expect(RequestDeadline(arrived: second(1), timeout: .forever, announced: .seconds(60)).instant == second(61))
    }

    @Test func `every stage gets its own time or what is left, whichever is less`() {  // 210
        let deadline = RequestDeadline(arrived: second(0), timeout: .seconds(3))
        #expect(deadline.bounding(.seconds(2), from: second(0)) == second(2))
        #expect(deadline.bounding(.seconds(2), from: second(2)) == second(3))
        #expect(!deadline.hasPassed(at: second(2.9)) && deadline.hasPassed(at: second(3)))
        #expect(deadline.remaining(at: second(4)) == .zero)
    }

    @Test func `the next hop is told whole milliseconds rounded down, and nothing where there is no deadline`() {
        let deadline = RequestDeadline(arrived: second(0), timeout: .milliseconds(1500))
        #expect(deadline.millisecondsToAnnounce(at: second(0.4999)) == 1000)
        #expect(RequestDeadline(arrived: second(0), timeout: .forever).millisecondsToAnnounce(at: second(9)) == nil)
        #expect(RequestDeadline(arrived: second(0), timeout: .forever).remaining(at: second(9)) == .forever)
    }
}

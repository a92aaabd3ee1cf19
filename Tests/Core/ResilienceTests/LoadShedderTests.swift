import Primitives
import Testing

@testable import Resilience

@Suite struct LoadShedderTests {
    private func shed(_ turns: [UInt64], after milliseconds: UInt64 = 0, under pressure: LoadShedder.Pressure = .none)
        -> [RequestPriority]
    {
        var shedder = LoadShedder()
        for turn in turns { shedder.turned(.milliseconds(turn), at: second(10)) }
        let now = second(10) + .milliseconds(milliseconds)
        return RequestPriority.allCases.filter { shedder.sheds($0, under: pressure, at: now) }
    }

    @Test func `a loop that keeps up turns nobody away`() {
        #expect(shed([1, 5, 50, 50, 50]) == [])
    }

    @Test func `one long turn turns nobody away, however long`() {
        #expect(shed([5000]) == [])
        #expect(shed([5000, 1, 5000, 1, 5000]) == [])
    }

    @Test func `two turns in a row above 50 ms turn bulk away`() {
        #expect(shed([51, 51]) == [.bulk])
        #expect(shed([51, 1, 51]) == [])
    }

    @Test func `three turns in a row above 200 ms turn ordinary requests away too, and critical ones never`() {
        #expect(shed([201, 201]) == [.bulk])
        #expect(shed([201, 201, 201]) == [.bulk, .standard])
        #expect(shed([201, 100, 201, 201]) == [.bulk])
    }

    @Test func `it holds for a second`() {
        #expect(shed([300, 300, 300], after: 999) == [.bulk, .standard])
        #expect(shed([300, 300, 300], after: 1000) == [])
    }

    @Test func `what runs short is shed by the same order`() {
        #expect(shed([], under: .high) == [.bulk])
        #expect(shed([], under: .extreme) == [.bulk, .standard])
        for (used, pressure) in [
            (0, LoadShedder.Pressure.none), (900, .none), (901, .high), (970, .high), (971, .extreme), (5000, .extreme),
        ] {
            #expect(LoadShedder.Pressure(usedPermille: used) == pressure, "\(used)")
        }
    }
}

import Primitives
import Testing

@testable import HTTP2

@Suite struct BudgetTests {
    private let start = Instant(nanoseconds: 5)

    @Test func `a budget lends its burst, warns at three quarters, and ends`() {
        var budget = GlitchBudget(burst: 100, perSecond: 10, at: start)
        for _ in 0..<75 { #expect(budget.spend(1, at: start) == .within) }
        for _ in 0..<25 { #expect(budget.spend(1, at: start) == .nearlySpent) }
        #expect(budget.spend(1, at: start) == .spent)
    }

    @Test func `a budget comes back at its rate and never above its burst`() {
        var budget = GlitchBudget(burst: 100, perSecond: 10, at: start)
        #expect(budget.spend(100, at: start) == .nearlySpent)
        #expect(budget.spend(10, at: start + .seconds(1)) == .nearlySpent)
        #expect(budget.spend(1, at: start + .seconds(1)) == .spent)
        #expect(budget.spend(75, at: start + .seconds(1_000_000)) == .within)
        #expect(budget.spend(26, at: start + .seconds(1_000_000)) == .spent)
    }

    @Test func `a clock that stands or goes back gives nothing, and one that ends overflows nothing`() {
        var budget = GlitchBudget(burst: 10, perSecond: .max, at: start)
        #expect(budget.spend(10, at: Instant(nanoseconds: 0)) == .nearlySpent)
        #expect(budget.spend(1, at: start) == .spent)
        #expect(budget.spend(7, at: .never) == .within)
        #expect(budget.spend(.max, at: .never) == .spent)
    }

    @Test func `window updates are earned by DATA and by streams`() {
        var earned = EarnedFrames()
        for _ in 0..<128 { #expect(earned.received() == true) }
        #expect(earned.received() == false)
        earned.streamOpened()
        for _ in 0..<4 { #expect(earned.received() == true) }
        #expect(earned.received() == false)
        earned.dataSent(16_384)
        for _ in 0..<68 { #expect(earned.received() == true) }
        #expect(earned.received() == false)
        for _ in 0..<100_000 { earned.dataSent(16_384) }
        for _ in 0..<65_536 { #expect(earned.received() == true) }
        #expect(earned.received() == false)
    }

    @Test func `a walk finds every frame however the bytes are cut`() {
        let bytes = frame(6, 1, 0, [UInt8](repeating: 9, count: 8)) + frame(0, 0, 0x7fff_ffff, [1]) + frame(0xff, 0xff, Int32.min)
        for cut in 0...bytes.count {
            var walker = FrameWalker(preface: 0)
            var found = [[Int]]()
            for piece in [Array(bytes[..<cut]), Array(bytes[cut...])] {
                piece.withUnsafeBufferPointer { buffer in
                    guard let base = buffer.baseAddress else { return }
                    var position = 0
                    while let header = walker.next(base, &position, buffer.count) {
                        found.append([header.length, Int(header.type), Int(header.flags), Int(header.stream)])
                    }
                }
            }
            #expect(found == [[8, 6, 1, 0], [1, 0, 0, 0x7fff_ffff], [0, 0xff, 0xff, 0]])
            #expect(walker.isBetweenFrames)
        }
    }

    @Test func `objects are used again, keep their bytes when they grow, and are bounded`() {
        var objects = SmallObjects()
        let first = objects.allocate(100)
        objects.deallocate(first)
        #expect(objects.allocate(90) == first)
        let grown = objects.reallocate(first, 112)
        #expect(grown == first)
        grown?.initializeMemory(as: UInt8.self, repeating: 7, count: 112)
        let larger = objects.reallocate(grown, 5000)
        #expect(larger != grown)
        #expect(UnsafeRawBufferPointer(start: larger, count: 112).allSatisfy { $0 == 7 })
        let largest = objects.reallocate(larger, 100_000)
        #expect(UnsafeRawBufferPointer(start: largest, count: 112).allSatisfy { $0 == 7 })
        objects.deallocate(largest)
        objects.deallocate(nil)
        let many = (0..<1000).map { _ in objects.allocate(50) }
        #expect(Set(many).count == 1000)
        for object in many { objects.deallocate(object) }
        #expect(objects.allocate(-1) == nil)
        objects.release()
    }
}

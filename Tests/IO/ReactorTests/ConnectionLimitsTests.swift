import Downstream
import Primitives
import Testing

@Suite struct ConnectionLimitsTests {
    private func v6(_ high: UInt64, _ low: UInt64) -> IPAddress { IPAddress(high: high, low: low) }

    @Test func `a client beyond its limit is turned away and does not count`() {
        let limits = ConnectionLimits(limit: 10)
        let client = IPAddress(v4: 0x0a00_0001)
        #expect(limits.admit(client, perClient: 2) == .admitted)
        #expect(limits.admit(client, perClient: 2) == .admitted)
        #expect(limits.admit(client, perClient: 2) == .clientFull)
        #expect(limits.count == 2)
        #expect(limits.admit(IPAddress(v4: 0x0a00_0002), perClient: 2) == .admitted)
        limits.release(client)
        #expect(limits.admit(client, perClient: 2) == .admitted)
        #expect(limits.count == 3)
    }

    @Test func `the process's limit holds whoever asks, and may be changed`() {
        let limits = ConnectionLimits(limit: 3)
        for i: UInt32 in 1...3 { #expect(limits.admit(IPAddress(v4: i), perClient: 100) == .admitted) }
        #expect(limits.isFull)
        #expect(limits.admit(IPAddress(v4: 9), perClient: 100) == .full)
        limits.setLimit(4)
        #expect(limits.admit(IPAddress(v4: 9), perClient: 100) == .admitted)
        limits.setLimit(1)
        limits.release(IPAddress(v4: 9))
        #expect(limits.admit(IPAddress(v4: 9), perClient: 100) == .full)
        #expect(limits.count == 3)
    }

    @Test func `IPv6 addresses of one /64 are one client, those of another are not`() {  // 167
        let limits = ConnectionLimits(limit: 100)
        #expect(limits.admit(v6(0x2001_0db8_0000_0001, 1), perClient: 2) == .admitted)
        #expect(limits.admit(v6(0x2001_0db8_0000_0001, .max), perClient: 2) == .admitted)
        #expect(limits.admit(v6(0x2001_0db8_0000_0001, 77), perClient: 2) == .clientFull)
        #expect(limits.admit(v6(0x2001_0db8_0000_0002, 1), perClient: 2) == .admitted)
        limits.release(v6(0x2001_0db8_0000_0001, 5))
        #expect(limits.admit(v6(0x2001_0db8_0000_0001, 77), perClient: 2) == .admitted)
    }

    @Test func `IPv4 addresses are counted each, also as IPv4-mapped IPv6`() {
        let limits = ConnectionLimits(limit: 100)
        #expect(limits.admit(IPAddress(v4: 0x0102_0304), perClient: 1) == .admitted)
        #expect(limits.admit(v6(0, 0xffff_0102_0304), perClient: 1) == .clientFull)
        #expect(limits.admit(v6(0, 0xffff_0102_0305), perClient: 1) == .admitted)
    }

    @Test func `many threads at once neither pass the limit nor lose a count`() async {
        let limits = ConnectionLimits(limit: 20)
        let most = await withTaskGroup(of: Int.self) { group in
            for thread: UInt32 in 0..<8 {
                group.addTask {
                    var most = 0
                    var random = RandomSource(seed: UInt64(thread))
                    for _ in 0..<2_000 {
                        let client = IPAddress(v4: UInt32(random.next() % 5))
                        guard limits.admit(client, perClient: 7) == .admitted else { continue }
                        most = max(most, limits.count)
                        limits.release(client)
                    }
                    return most
                }
            }
            return await group.reduce(0, max)
        }
        #expect(most > 0)
        #expect(limits.count == 0)
        // Whoever is being turned away counts for a moment.
        #expect(most <= 20 + 8)
        for client: UInt32 in 0..<5 { for _ in 0..<4 { #expect(limits.admit(IPAddress(v4: client), perClient: 4) == .admitted) } }
    }
}

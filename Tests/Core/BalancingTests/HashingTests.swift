import Balancing
import Primitives
import Testing

@Suite struct HashingTests {
    static let keys = 5_000

    @Test(arguments: [Balancer.Algorithm.addressHash, .consistentHash], [2, 3, 10, 32, 33, 100, 1000])
    func `a failure moves the keys of the failed instance and no other, and they come back`(
        algorithm: Balancer.Algorithm, count: Int
    ) {
        var fixture = Fixture(algorithm, weights: [Int](repeating: 1, count: count))
        let before = fixture.owners(Self.keys)
        fixture.loads[1].healthChanged(to: .failed, at: .seconds(1))
        let during = fixture.owners(Self.keys)
        #expect(zip(before, during).allSatisfy { was, now in was == 1 ? now != 1 : now == was })
        fixture.loads[1].healthChanged(to: .healthy, at: .seconds(2))
        #expect(fixture.owners(Self.keys) == before)
    }

    @Test(arguments: [10, 100])
    func `the keys of a failed instance are spread over the others`(count: Int) {
        var fixture = Fixture(.consistentHash, weights: [Int](repeating: 1, count: count))
        let before = fixture.owners(50_000)
        fixture.loads[0].healthChanged(to: .failed, at: .seconds(1))
        let during = fixture.owners(50_000)
        var got = [Int](repeating: 0, count: count)
        for (was, now) in zip(before, during) where was == 0 { got[now] += 1 }
        let moved = got.reduce(0, +)
        #expect(got.max() ?? 0 < moved * 4 / count + 10, "\(got)")
    }

    @Test func `with most instances failed a further failure moves its own keys only`() {
        var fixture = Fixture(.addressHash, weights: [Int](repeating: 1, count: 400))
        for instance in 0..<380 { fixture.loads[instance].healthChanged(to: .failed, at: .seconds(1)) }
        let before = fixture.owners(Self.keys)
        fixture.loads[390].healthChanged(to: .failed, at: .seconds(1))
        let after = fixture.owners(Self.keys)
        #expect(zip(before, after).allSatisfy { was, now in was == 390 || was == now })
        #expect(!after.contains(390) && !after.contains(-1))
    }

    @Test(arguments: [3, 32, 100, 1000])
    func `an instance taken out of the configuration moves its share and at most 2 percent more`(count: Int) {
        let names = (0..<count).map { "backend-\($0).internal:80" }
        var all = Fixture(Balancer.Policy(.addressHash), weights: [Int](repeating: 1, count: count), names: names)
        var fewer = Fixture(
            Balancer.Policy(.addressHash), weights: [Int](repeating: 1, count: count - 1), names: Array(names.dropFirst()))
        let before = all.owners(Self.keys)
        let after = fewer.owners(Self.keys).map { $0 + 1 }
        let own = before.filter { $0 == 0 }.count
        let moved = zip(before, after).filter { $0 != $1 }.count
        // From 32 to 31 both are rendezvous, from 100 and 1,000 both are tables.
        #expect(Double(moved - own) / Double(Self.keys) <= 0.02, "\(moved) moved, \(own) of its own")
    }

    @Test(arguments: [4, 64])
    func `keys go by the weights`(count: Int) {
        let weights = (0..<count).map { $0 % 4 }
        var fixture = Fixture(.consistentHash, weights: weights)
        var counts = [Int](repeating: 0, count: 4)
        for owner in fixture.owners(50_000) { counts[owner % 4] += 1 }
        #expect(distance(counts, from: [0, 1, 2, 3]) < 0.05, "\(counts)")
    }

    @Test(arguments: [4, 100])
    func `an instance at one and a quarter times its share is passed over, under consistent_hash alone`(count: Int) {
        for (algorithm, isBounded) in [(Balancer.Algorithm.consistentHash, true), (.addressHash, false)] {
            var fixture = Fixture(algorithm, weights: [Int](repeating: 1, count: count))
            // One hot key, and requests that do not end.
            for _ in 0..<(count * 40) {
                guard let instance = fixture.pick(key: 7) else { continue }
                fixture.loads[instance].requestStarted()
            }
            let most = fixture.loads.map(\.inFlight).max() ?? 0
            #expect(isBounded ? most <= 50 : most == count * 40, "\(most)")
        }
    }

    @Test(arguments: [8, 80])
    func `a degraded instance keeps half of its keys and loses the others`(count: Int) {
        var fixture = Fixture(.addressHash, weights: [Int](repeating: 1, count: count))
        let before = fixture.owners(50_000)
        fixture.loads[3].healthChanged(to: .degraded, at: .seconds(1))
        let after = fixture.owners(50_000)
        let had = before.filter { $0 == 3 }.count
        let has = after.filter { $0 == 3 }.count
        #expect(abs(Double(has) / Double(had) - 0.5) < 0.08, "\(has) of \(had)")
        #expect(zip(before, after).allSatisfy { was, now in was == 3 || was == now })
    }

    @Test func `clients of one IPv6 network share an instance, neighbours in one IPv4 network do not`() throws {
        func key(_ text: String) throws -> HashKey { HashKey(try #require(IPAddress(text))) }
        #expect(try key("2001:db8:1:2::3") == key("2001:db8:1:2:ffff::9"))
        #expect(try key("2001:db8:1:2::3") != key("2001:db8:1:3::3"))
        var fixture = Fixture(.addressHash, weights: [1, 1, 1, 1])
        var owners: Set<Int> = []
        for last in 1...60 {
            owners.insert(fixture.pick(Balancer.Request(key: try key("192.0.2.\(last)"))) ?? -1)
        }
        #expect(owners == [0, 1, 2, 3])
    }

    @Test func `the same name is the same place, whatever the order of the instances`() {
        let names = ["a:1", "b:1", "c:1", "d:1", "e:1"]
        var one = Fixture(Balancer.Policy(.consistentHash), weights: [1, 1, 1, 1, 1], names: names)
        var other = Fixture(Balancer.Policy(.consistentHash), weights: [1, 1, 1, 1, 1], names: names.reversed())
        #expect(one.owners(1000) == other.owners(1000).map { 4 - $0 })
    }

    @Test func `a request without its key takes a turn`() {
        var fixture = Fixture(.consistentHash, weights: [1, 1, 1])
        #expect((0..<3).map { _ in fixture.pick() } == [0, 1, 2])
    }

    @Test(arguments: [3, 50])
    func `a key whose instance was tried goes to another, and to the same other each time`(count: Int) {
        var fixture = Fixture(.addressHash, weights: [Int](repeating: 1, count: count))
        for bits in UInt64(0)..<500 {
            let request = Balancer.Request(key: HashKey(bits: bits))
            guard let first = fixture.pick(request) else { continue }
            let second = fixture.pick(request, excluding: [first])
            #expect(second != nil && second != first)
            #expect(second == fixture.pick(request, excluding: [first]))
        }
    }
}

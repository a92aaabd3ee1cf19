/// How an instance is, which the gateway has to find out.
enum Condition {
    case up
    /// Refuses connections; those that stood are reset.
    case dead
    /// Takes connections, and says nothing.
    case hanging
    /// The network between it and the gateway is cut: nothing arrives, not even a refusal.
    case cutOff
    /// Answers some with 503, and closes on others.
    case erring
    /// Takes its time.
    case slow
}

/// What happens to the instances of a run: from calm to the worst, and back.
struct Weather {
    struct Change {
        let at: UInt64
        let instance: Int
        let condition: Condition
    }

    let changes: [Change]
    /// When the last of it is over.
    let end: UInt64

    /// - Parameter instances: their numbers.
    init(drawnFrom network: VirtualNetwork, instances: ClosedRange<Int>, over time: UInt64) {
        var changes: [Change] = []
        let kinds: [Condition] = network.pick([
            [.dead], [.dead], [.dead, .erring], [.hanging], [.cutOff], [.erring], [.slow],
            [.dead, .hanging, .cutOff, .erring, .slow],
        ])
        // All at once: a rack, a network, a bad release.
        let isCommon = network.oneIn(3)
        for instance in instances where isCommon || !network.oneIn(4) {
            var at = isCommon ? time / 10 : network.upTo(time / 3)
            for _ in 0...network.upTo(network.pick([0, 1, 5])) {
                changes.append(Change(at: at, instance: instance, condition: network.pick(kinds)))
                at += network.pick([100_000_000, 1_000_000_000, 3_000_000_000]) + network.upTo(time / 4)
                changes.append(Change(at: at, instance: instance, condition: .up))
                at += network.upTo(time / 6)
            }
        }
        self.changes = changes
        end = changes.map(\.at).max() ?? 0
    }
}

/// Visits every state that a world can come to within so many events, each once.
struct ModelCheck {
    struct Violation {
        let rule: World.Rule
        /// What led to it, first to last.
        let path: [World.Event]
    }

    private(set) var states = 0
    private(set) var steps = 0
    private(set) var violation: Violation?

    /// Stops at the first rule that is broken; none is reached by fewer events than that.
    init(from start: World, depth: Int) {
        var seen: Set<Int> = [start.fingerprint]
        var frontier: [(world: World, path: [World.Event])] = [(start, [])]
        for level in 1...depth {
            var next: [(world: World, path: [World.Event])] = []
            for (world, path) in frontier {
                for event in world.events {
                    var after = world
                    after.step(event)
                    steps += 1
                    if let rule = after.broken {
                        violation = Violation(rule: rule, path: path + [event])
                        states = seen.count
                        return
                    }
                    if seen.insert(after.fingerprint).inserted, level < depth { next.append((after, path + [event])) }
                }
            }
            frontier = next
        }
        states = seen.count
    }
}

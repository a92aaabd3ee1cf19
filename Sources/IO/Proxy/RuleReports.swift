import Primitives

/// Which broken rules a worker has reported lately, and how many times each was broken since: whoever sends garbage must neither fill the log
/// nor hide behind it what somebody else does.
struct RuleReports {
    /// A rule is reported with an example at most once in this time.
    static var interval: TimeAmount { .seconds(1) }
    /// There are fewer rules; a mistake in that must not cost memory.
    private static var rulesMax: Int { 256 }

    struct Entry {
        let rule: StaticString
        var sender: BrokenMessage.Sender
        var next: Instant
        var leftOut = 0
    }

    private var entries: [Entry] = []
    /// When there is something to be said of what was left out; never while nothing was.
    private(set) var due = Instant.never

    /// A rule was broken.
    /// - Returns: how many times it was broken since the last report of it, where it is to be reported now; nil where it is only counted.
    mutating func broken(_ rule: StaticString, by sender: BrokenMessage.Sender, at now: Instant) -> Int? {
        guard let index = entries.firstIndex(where: { $0.rule.utf8Start == rule.utf8Start }) else {
            guard entries.count < Self.rulesMax else { return nil }
            entries.append(Entry(rule: rule, sender: sender, next: now + Self.interval))
            return 0
        }
        guard now >= entries[index].next else {
            entries[index].leftOut += 1
            entries[index].sender = sender
            due = min(due, entries[index].next)
            return nil
        }
        defer { entries[index].leftOut = 0 }
        entries[index].next = now + Self.interval
        return entries[index].leftOut
    }

    /// The rules of which nothing has been said for the interval though they were broken; the counts begin anew.
    mutating func takeDue(at now: Instant) -> [Entry] {
        var result: [Entry] = []
        due = .never
        for index in entries.indices where entries[index].leftOut > 0 {
            guard now >= entries[index].next else {
                due = min(due, entries[index].next)
                continue
            }
            result.append(entries[index])
            entries[index].leftOut = 0
            entries[index].next = now + Self.interval
        }
        return result
    }
}

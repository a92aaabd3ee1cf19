import HTTPMessages
import Primitives

/// Routes whose host or path does not fit, but nearly.
extension RouteTable {
    private struct Miss {
        var candidate: RouteCandidate
        /// How far the route's host and path are from the request's.
        var distance: Int
        /// Bytes that they have in common.
        var likeness: Int
    }

    /// The nearest ones.
    /// - Parameters:
    ///   - fitting: routes that fit in host and path; they are no misses.
    ///   - winner: where the route that serves the request stands: only routes that go before it are named.
    func misses(
        _ head: borrowing RequestHead, besides fitting: Set<Int32>, above winner: Place?, limit: Int
    ) -> [RouteCandidate] {
        let host = head.bytes(head.host).array()
        let segments = head.bytes(head.path).array().dropFirst().split(
            separator: ASCII.slash, omittingEmptySubsequences: false)
        var misses: [Miss] = []
        for terminal in storage.terminals {
            for index in Int(terminal.firstEntry)..<Int(terminal.endEntry) {
                let entry = storage.entries[index]
                let rule = rules[Int(entry.rule)]
                let likeness = PathLikeness(rule.path, segments)
                // Most routes are nowhere near.
                guard likeness.isNear, !fitting.contains(entry.rule) else { continue }
                let hostFits = rule.hosts.isEmpty || rule.hosts.contains { $0.takes(host) }
                guard hostFits || likeness.distance == 0 else { continue }
                if let winner, !isPreferred(rule, terminal, to: winner, hostFits ? host : nil) { continue }
                var misfits: [RouteMisfit] = hostFits ? [] : [.host]
                if likeness.distance > 0 { misfits.append(.path) }
                guard !misfits.isEmpty else { continue }
                misfits += self.misfits(of: entry, head)
                let hostLikeness = hostFits ? 0 : rule.hosts.map { $0.likeness(host) }.max() ?? 0
                misses.append(
                    Miss(
                        candidate: RouteCandidate(route: Int(entry.rule), misfits: misfits), distance: likeness.distance,
                        likeness: likeness.commonBytes + hostLikeness))
            }
        }
        misses.sort { a, b in
            if a.candidate.misfits.count != b.candidate.misfits.count {
                return a.candidate.misfits.count < b.candidate.misfits.count
            }
            if a.distance != b.distance { return a.distance < b.distance }
            if a.likeness != b.likeness { return a.likeness > b.likeness }
            return a.candidate.route < b.candidate.route
        }
        // A route for several hosts has an entry for each.
        var named = Set<Int>()
        var nearest: [RouteCandidate] = []
        for miss in misses where nearest.count < limit {
            if named.insert(miss.candidate.route).inserted { nearest.append(miss.candidate) }
        }
        return nearest
    }

    /// Whether the route would go before the winner if it fitted.
    /// - Parameter host: the request's, where the route's host fits it; otherwise the route's most specific host counts.
    private func isPreferred(
        _ rule: RouteRule, _ terminal: RouteStorage.Terminal, to winner: Place, _ host: [UInt8]?
    ) -> Bool {
        var best = HostPattern.any.specificity
        for pattern in rule.hosts where host.map({ pattern.takes($0) }) ?? true { best = max(best, pattern.specificity) }
        let other = winner.host.specificity
        return best == other ? terminal.rank > winner.terminal.rank : best > other
    }
}

/// How near a path is to a pattern, by segments.
private struct PathLikeness {
    /// 0 where the path fits. A segment that differs, or is too many or too few, counts 2; one that differs only in its case, or is
    /// empty and too many or too few, counts 1.
    private(set) var distance = 0
    /// Bytes of literal segments that are the same, and of the beginning of the first that is not.
    private(set) var commonBytes = 0

    init(_ pattern: PathPattern, _ path: [ArraySlice<UInt8>]) {
        let have = path.count
        let want = pattern.segments.count
        for i in 0..<min(have, want) {
            switch pattern.segments[i] {
            case .parameter: if path[i].isEmpty { distance += 1 }
            case .literal(let text):
                if path[i].elementsEqual(text) {
                    commonBytes += text.count + 1
                } else {
                    if distance == 0 { commonBytes += zip(path[i], text).prefix { $0 == $1 }.count }
                    distance += path[i].count == text.count && zip(path[i], text).allSatisfy(Self.sameLetter) ? 1 : 2
                }
            }
            if distance > Self.distanceMax { return }
        }
        if want > have {
            for i in have..<want {
                if case .literal(let text) = pattern.segments[i], text.isEmpty { distance += 1 } else { distance += 2 }
            }
        } else if have > want, !pattern.isPrefix {
            for i in want..<have { distance += path[i].isEmpty ? 1 : 2 }
        }
    }

    private static var distanceMax: Int { 2 }

    private static func sameLetter(_ a: UInt8, _ b: UInt8) -> Bool { ASCII.lowercased(a) == ASCII.lowercased(b) }

    /// At most one segment differs, and something is the same.
    var isNear: Bool { distance == 0 || distance <= Self.distanceMax && (distance == 1 || commonBytes > 1) }
}

extension HostPattern {
    fileprivate func takes(_ host: [UInt8]) -> Bool {
        switch self {
        case .exact(let name): host == name
        case .wildcard(let suffix):
            host.count > suffix.count + 1 && host[host.count - suffix.count - 1] == ASCII.dot
                && host.suffix(suffix.count).elementsEqual(suffix)
        case .any: true
        }
    }

    /// Bytes at the front or at the end that are the same.
    fileprivate func likeness(_ host: [UInt8]) -> Int {
        switch self {
        case .exact(let name), .wildcard(let name):
            max(zip(name, host).prefix { $0 == $1 }.count, zip(name.reversed(), host.reversed()).prefix { $0 == $1 }.count)
        case .any: 0
        }
    }

    /// Exact before the longest wildcard before any.
    fileprivate var specificity: Int {
        switch self {
        case .exact: .max
        case .wildcard(let suffix): suffix.count + 1
        case .any: 0
        }
    }
}

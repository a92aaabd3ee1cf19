import HTTPMessages
import Primitives

/// The look-up once more, slowly, for whoever asks why.
///
/// Which routes fit in host and path is asked of the same tree, their methods and conditions of the same entries, as in `match`;
/// so the reasons cannot be others than those of the look-up. Only which of the other routes nearly fit is an estimate.
extension RouteTable {
    /// - Parameter limit: candidates that are named at most.
    public func trace(_ head: borrowing RequestHead, limit: Int = 10) -> RouteTrace {
        var trace = RouteTrace(match: match(head), host: nil, candidates: [])
        guard let first = head.path.first, head.headers.storage[first] == ASCII.slash else { return trace }
        let places = self.places(for: head)
        var fitting = Set<Int32>()
        var winner: Place?
        for place in places {
            for index in Int(place.terminal.firstEntry)..<Int(place.terminal.endEntry) {
                let entry = storage.entries[index]
                let isFirst = fitting.insert(entry.rule).inserted
                if winner == nil, trace.match == .route(Int(entry.rule)) {
                    winner = place
                    trace.host = place.host
                }
                guard winner == nil, isFirst else { continue }
                let misfits = misfits(of: entry, head)
                if !misfits.isEmpty { trace.candidates.append(RouteCandidate(route: Int(entry.rule), misfits: misfits)) }
            }
        }
        trace.candidates = Array(trace.candidates.prefix(max(0, limit)))
        if trace.candidates.count < limit {
            trace.candidates += misses(head, besides: fitting, above: winner, limit: limit - trace.candidates.count)
        }
        return trace
    }

    /// Routes that take the request's host and path, most specific first.
    struct Place {
        var host: HostPattern
        var terminal: RouteStorage.Terminal
    }

    /// In the order in which `match` prefers them.
    private func places(for head: borrowing RequestHead) -> [Place] {
        var places: [Place] = []
        let path = head.path.lowerBound + 1
        let bytes = head.headers.storage.bytes
        let host = head.host
        if !host.isEmpty {
            let exact = storage.step(from: RouteStorage.exactHosts, bytes, host.lowerBound, host.upperBound)
            if exact.node >= 0 { append(exact.node, path, head, .exact(bytes.extracting(host).array()), to: &places) }
            for i in host where bytes[i] == ASCII.dot && host.upperBound - i - 1 <= storage.wildcardBytesMax {
                let wildcard = storage.step(from: RouteStorage.wildcardHosts, bytes, i + 1, host.upperBound)
                guard wildcard.node >= 0 else { continue }
                append(wildcard.node, path, head, .wildcard(bytes.extracting((i + 1)..<host.upperBound).array()), to: &places)
            }
        }
        append(RouteStorage.anyHost, path, head, .any, to: &places)
        return places
    }

    private func append(
        _ root: Int32, _ path: Int, _ head: borrowing RequestHead, _ host: HostPattern, to places: inout [Place]
    ) {
        var terminals: [RouteStorage.Terminal] = []
        collect(root, path, head, &terminals)
        terminals.sort { $0.rank > $1.rank }
        places += terminals.map { Place(host: host, terminal: $0) }
    }

    /// Goes every way that the path fits, as `allow` does.
    private func collect(
        _ index: Int32, _ offset: Int, _ head: borrowing RequestHead, _ terminals: inout [RouteStorage.Terminal]
    ) {
        let node = storage.nodes[Int(index)]
        if node.prefix >= 0 { terminals.append(storage.terminals[Int(node.prefix)]) }
        guard offset <= head.path.upperBound else {
            if node.full >= 0 { terminals.append(storage.terminals[Int(node.full)]) }
            return
        }
        let step = storage.step(from: index, head.headers.storage.bytes, offset, head.path.upperBound)
        if step.node >= 0 { collect(step.node, step.end + 1, head, &terminals) }
        if node.parameter >= 0, step.end > offset { collect(node.parameter, step.end + 1, head, &terminals) }
    }

    /// What of the method and the conditions does not fit.
    func misfits(of entry: RouteStorage.Entry, _ head: borrowing RequestHead) -> [RouteMisfit] {
        var misfits: [RouteMisfit] = []
        let takesMethod = entry.methods & (1 << UInt16(head.method.rawValue)) != 0 || storage.takesCustomMethod(entry, head)
        if !takesMethod { misfits.append(.method) }
        let rule = rules[Int(entry.rule)]
        // Entries hold the conditions in this order.
        for (i, index) in entry.conditions.enumerated() where !storage.holds(storage.conditions[Int(index)], head) {
            let isHeader = i < rule.headers.count
            misfits.append(isHeader ? .header(rule.headers[i]) : .query(rule.query[i - rule.headers.count]))
        }
        return misfits
    }
}

import HTTPMessages
import Primitives

/// The look-up itself: from the host to a root, from segment to segment down the tree, back up over the prefix routes.
extension RouteStorage {
    /// The best so far.
    struct Search {
        var rule: Int32 = -1
        var rank: Int32 = -1
        /// A route would have taken the request but for its method.
        var pathMatched = false
        let supposed: SupposedFields
    }

    func search(_ head: borrowing RequestHead, supposing supposed: SupposedFields) -> Search {
        var search = Search(supposed: supposed)
        let bytes = head.headers.storage.bytes
        let path = head.path.lowerBound
        guard path < head.path.upperBound, bytes[path] == ASCII.slash else { return search }
        precondition(head.path.upperBound <= bytes.byteCount, "a path outside its storage")
        if hasHosts, !head.host.isEmpty {
            searchHosts(head, &search)
            if search.rule >= 0 { return search }
        }
        if hasAnyHost { descend(from: RouteStorage.anyHost, at: path &+ 1, head, &search) }
        return search
    }

    private func searchHosts(_ head: borrowing RequestHead, _ search: inout Search) {
        let bytes = head.headers.storage.bytes
        let path = head.path.lowerBound &+ 1
        let end = head.host.upperBound
        precondition(end <= bytes.byteCount, "a host outside its storage")
        if hasExactHosts {
            let step = step(from: RouteStorage.exactHosts, bytes, head.host.lowerBound, end)
            if step.node >= 0 { descend(from: step.node, at: path, head, &search) }
        }
        guard search.rule < 0, hasWildcards else { return }
        for i in head.host where bytes[i] == ASCII.dot && end - i - 1 <= wildcardBytesMax {
            let step = step(from: RouteStorage.wildcardHosts, bytes, i + 1, end)
            if step.node >= 0 { descend(from: step.node, at: path, head, &search) }
            if search.rule >= 0 { return }
        }
    }

    /// Follows the path from the segment that begins at `offset` as far as the tree goes. An offset past the end of the path
    /// means that no segment is left. Only a node that has both a fitting literal and a parameter calls for a second way.
    private func descend(from start: Int32, at offset: Int, _ head: borrowing RequestHead, _ search: inout Search) {
        let bytes = head.headers.storage.bytes
        let end = head.path.upperBound
        var node = start
        var offset = offset
        while offset <= end {
            let step = step(from: node, bytes, offset, end)
            let parameter = nodes[Int(node)].parameter
            if parameter >= 0, step.end > offset {
                if step.node >= 0 { descend(from: step.node, at: step.end &+ 1, head, &search) }
                node = parameter
            } else if step.node >= 0 {
                node = step.node
            } else {
                break
            }
            offset = step.end &+ 1
        }
        let last = nodes[Int(node)]
        if offset > end, last.full >= 0 { take(last.full, head, &search) }
        // The prefix routes from the longest on; those behind a better rank than theirs are not looked at.
        var holder = last.prefixHolder
        while holder >= 0 {
            let above = nodes[Int(holder)]
            guard terminals[Int(above.prefix)].rank > search.rank else { return }
            take(above.prefix, head, &search)
            holder = above.prefixHolderAbove
        }
    }

    /// Takes the first route of a terminal that fits, if it is better than what was found. Most terminals have one route without
    /// conditions.
    @inline(__always)
    private func take(_ index: Int32, _ head: borrowing RequestHead, _ search: inout Search) {
        let terminal = terminals[Int(index)]
        guard terminal.rank > search.rank else { return }
        let entry = entries[Int(terminal.firstEntry)]
        if entry.methods & (1 &<< UInt16(head.method.rawValue)) != 0, entry.conditions.isEmpty {
            search.rule = entry.rule
            search.rank = terminal.rank
        } else {
            takeFirst(of: terminal, head, &search)
        }
    }

    @inline(never)
    private func takeFirst(of terminal: Terminal, _ head: borrowing RequestHead, _ search: inout Search) {
        for i in Int(terminal.firstEntry)..<Int(terminal.endEntry) {
            let entry = entries[i]
            let takesMethod = entry.methods & (1 &<< UInt16(head.method.rawValue)) != 0 || takesCustomMethod(entry, head)
            if !takesMethod && search.pathMatched { continue }
            guard conditionsHold(entry, head, supposing: search.supposed) else { continue }
            if takesMethod {
                search.rule = entry.rule
                search.rank = terminal.rank
                return
            }
            search.pathMatched = true
        }
    }

    func takesCustomMethod(_ entry: Entry, _ head: borrowing RequestHead) -> Bool {
        guard case .other = head.method else { return false }
        for i in entry.customMethods where head.bytes(head.methodRange).equals(bytes(texts[Int(i)])) { return true }
        return false
    }
}

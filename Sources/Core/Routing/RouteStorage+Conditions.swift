import HTTPMessages
import Primitives

extension RouteStorage {
    @inline(never)
    func conditionsHold(_ entry: Entry, _ head: borrowing RequestHead, supposing supposed: SupposedFields = .none) -> Bool {
        for i in entry.conditions {
            let condition = conditions[Int(i)]
            if supposed != .none, !condition.isQuery {
                guard holdsAnnounced(condition, head, supposed) else { return false }
            } else if !holds(condition, head) {
                return false
            }
        }
        return true
    }

    func holds(_ condition: Condition, _ head: borrowing RequestHead) -> Bool {
        let found = condition.isQuery ? queryHas(condition, head) : headersHave(condition, head)
        switch condition.test {
        case .present, .anyOf: return found
        case .absent: return !found
        }
    }

    /// Whether a line of this name is there, with one of the values where there are values.
    private func headersHave(_ condition: Condition, _ head: borrowing RequestHead) -> Bool {
        var next = 0
        while let index = head.headers.firstIndex(named: bytes(condition.name), from: next) {
            if condition.values.isEmpty { return true }
            for v in condition.values where head.headers.value(index).equals(bytes(texts[Int(v)])) { return true }
            next = index + 1
        }
        return false
    }

    private func queryHas(_ condition: Condition, _ head: borrowing RequestHead) -> Bool {
        guard let range = head.query else { return false }
        let query = head.bytes(range)
        var start = 0
        while start < query.byteCount {
            let pair = query.extracting(start..<query.byteCount)
            let end = pair.firstIndex(of: UInt8(ascii: "&")) ?? pair.byteCount
            if pairFits(pair.extracting(0..<end), condition) { return true }
            start += end + 1
        }
        return false
    }

    private func pairFits(_ pair: RawSpan, _ condition: Condition) -> Bool {
        let equals = pair.firstIndex(of: ASCII.equals) ?? pair.byteCount
        guard RouteStorage.decodes(pair.extracting(0..<equals), to: bytes(condition.name)) else { return false }
        if condition.values.isEmpty { return true }
        let value = pair.extracting(min(equals + 1, pair.byteCount)..<pair.byteCount)
        for v in condition.values where RouteStorage.decodes(value, to: bytes(texts[Int(v)])) { return true }
        return false
    }

    /// Whether `escaped` is `plain` once its escapes are decoded; a percent sign that begins no escape stands for itself.
    private static func decodes(_ escaped: RawSpan, to plain: RawSpan) -> Bool {
        var i = 0
        var j = 0
        while i < escaped.byteCount {
            var c = escaped[i]
            i += 1
            if c == ASCII.percent, i + 1 < escaped.byteCount, let high = ASCII.hexValue(escaped[i]),
                let low = ASCII.hexValue(escaped[i + 1])
            {
                c = high << 4 | low
                i += 2
            }
            guard j < plain.byteCount, plain[j] == c else { return false }
            j += 1
        }
        return j == plain.byteCount
    }
}

import HTTPMessages
import Primitives

extension RouteTable {
    /// The value of the `Allow` field of a 405 (RFC 9110 §15.5.6): the methods of all routes that would take the request but for
    /// its method, in the order of `Method`, then others by name. `HEAD` stands beside every `GET`.
    ///
    /// Made when asked for, since it depends on the request's fields too.
    public func allow(for head: borrowing RequestHead) -> [UInt8] {
        var allowed = Allowed()
        let path = head.path.lowerBound + 1
        let bytes = head.headers.storage.bytes
        let host = head.host
        guard let first = head.path.first, bytes[first] == ASCII.slash else { return [] }
        if !host.isEmpty {
            let exact = storage.step(from: RouteStorage.exactHosts, bytes, host.lowerBound, host.upperBound)
            if exact.node >= 0 { collect(exact.node, path, head, &allowed) }
            for i in host where bytes[i] == ASCII.dot && host.upperBound - i - 1 <= storage.wildcardBytesMax {
                let wildcard = storage.step(from: RouteStorage.wildcardHosts, bytes, i + 1, host.upperBound)
                if wildcard.node >= 0 { collect(wildcard.node, path, head, &allowed) }
            }
        }
        collect(RouteStorage.anyHost, path, head, &allowed)
        let names = Method.allCases.filter(allowed.methods.contains).map { "\($0.name)" }
        return Array((names + allowed.custom.sorted()).joined(separator: ", ").utf8)
    }

    private struct Allowed {
        var methods = MethodSet()
        var custom = Set<String>()
    }

    /// Goes every way that the path fits.
    private func collect(_ index: Int32, _ offset: Int, _ head: borrowing RequestHead, _ allowed: inout Allowed) {
        let node = storage.nodes[Int(index)]
        if node.prefix >= 0 { add(storage.terminals[Int(node.prefix)], head, &allowed) }
        guard offset <= head.path.upperBound else {
            if node.full >= 0 { add(storage.terminals[Int(node.full)], head, &allowed) }
            return
        }
        let step = storage.step(from: index, head.headers.storage.bytes, offset, head.path.upperBound)
        if step.node >= 0 { collect(step.node, step.end + 1, head, &allowed) }
        if node.parameter >= 0, step.end > offset { collect(node.parameter, step.end + 1, head, &allowed) }
    }

    private func add(_ terminal: RouteStorage.Terminal, _ head: borrowing RequestHead, _ allowed: inout Allowed) {
        for entry in storage.entries[Int(terminal.firstEntry)..<Int(terminal.endEntry)]
        where storage.conditionsHold(entry, head) {
            allowed.methods.formUnion(entry.methods)
            for i in entry.customMethods {
                allowed.custom.insert(String(decoding: storage.bytes(storage.texts[Int(i)]).array(), as: UTF8.self))
            }
        }
    }
}

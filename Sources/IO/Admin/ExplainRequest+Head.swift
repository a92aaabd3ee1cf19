import Primitives
import Proxy

extension ExplainRequest {
    /// The head as its client would send it, with the empty line at its end.
    var headBytes: [UInt8] {
        var text = "\(method) \(target) HTTP/1.1\r\n"
        for header in headers { text += "\(header.name): \(header.value)\r\n" }
        return Array((text + "\r\n").utf8)
    }

    /// The index of the listener that is meant; nil where there is none of this name.
    public func listenerIndex(in snapshot: GatewaySnapshot) -> Int? {
        guard let listener else { return snapshot.listeners.isEmpty ? nil : 0 }
        return snapshot.listeners.firstIndex { $0.name == listener }
    }

    /// The lines of a head, without the values that the configuration has put into fields that may hold secrets: those that the
    /// request itself brought are no news to who asks.
    func masked(head lines: [String]) -> [String] {
        lines.filter { !$0.isEmpty }.enumerated().map { index, line in
            guard index > 0, let colon = line.firstIndex(of: ":") else { return line }
            let name = String(line[..<colon])
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            guard MaskedValue.isSecret(name) else { return line }
            let isOwn = headers.contains { $0.name.lowercased() == name.lowercased() && $0.value.trimmed == value }
            return isOwn ? line : "\(name): ***"
        }
    }
}

extension String {
    /// Without blanks at its ends, as the parser reads a value.
    fileprivate var trimmed: Substring {
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        guard let last = lastIndex(where: { !isBlank($0) }) else { return "" }
        return self[...last].drop(while: isBlank)
    }

    /// The parts between the separators, none of which holds the separator.
    func components(by separator: String) -> [String] {
        var parts: [String] = []
        var part: [UInt8] = []
        let mark = Array(separator.utf8)
        for byte in utf8 {
            part.append(byte)
            guard part.count >= mark.count, part.suffix(mark.count).elementsEqual(mark) else { continue }
            parts.append(String(decoding: part.dropLast(mark.count), as: UTF8.self))
            part = []
        }
        parts.append(String(decoding: part, as: UTF8.self))
        return parts
    }
}

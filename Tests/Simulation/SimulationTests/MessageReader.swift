/// The head of a message, as a strict reader sees it.
struct MessageHead {
    /// The request line or the status line.
    var start: String
    var fields: [(name: String, value: String)]

    /// The value of the one field of this lower-case name; nil when there is none. Two count as a fault of the sender.
    func value(_ name: String) -> String? { fields.first { $0.name.lowercased() == name }?.value }

    func count(_ name: String) -> Int { fields.count { $0.name.lowercased() == name } }

    func says(_ option: String) -> Bool {
        fields.contains { field in
            field.name.lowercased() == "connection"
                && field.value.lowercased().split(separator: ",").contains { $0.trimmed == option }
        }
    }

    /// The second word of a status line.
    var status: Int { Int(start.split(separator: " ").dropFirst().first ?? "") ?? 0 }
}

extension Substring {
    var trimmed: Substring { drop { $0 == " " }.prefix { $0 != " " } }
}

/// Reads HTTP/1.1 messages by the letter of RFC 9112 and by none of the gateway's own code, so that it can bear witness.
struct MessageReader {
    enum Framing: Equatable {
        case none, length(Int), chunked, untilClose
    }

    enum Step {
        case needMore
        case head(MessageHead)
        case data([UInt8])
        case end
        case fault(String)
    }

    private enum State {
        case head, body(Int), chunkSize, chunk(Int), chunkEnd, trailers, untilClose, complete
    }

    private var queue = ByteQueue()
    private var state = State.head
    /// Fields behind the last chunk.
    private(set) var trailers: [String] = []

    var isBetweenMessages: Bool { if case .head = state { queue.isEmpty } else { false } }
    /// Bytes that have come and have not been read.
    var leftover: Int { queue.count }

    mutating func append(_ bytes: [UInt8]) { queue.append(bytes) }

    /// What kind of body follows the head that was read.
    mutating func beginBody(_ framing: Framing) {
        trailers = []
        switch framing {
        case .none: state = .complete
        case .length(let n): state = n == 0 ? .complete : .body(n)
        case .chunked: state = .chunkSize
        case .untilClose: state = .untilClose
        }
    }

    /// Whether the end of the connection ends the message too.
    var endsWithConnection: Bool { if case .untilClose = state { true } else { false } }

    mutating func next() -> Step {
        switch state {
        case .head: return readHead()
        case .complete:
            state = .head
            return .end
        case .untilClose: return queue.isEmpty ? .needMore : .data(queue.take(.max))
        case .body(let rest):
            guard !queue.isEmpty else { return .needMore }
            let data = queue.take(rest)
            state = rest == data.count ? .complete : .body(rest - data.count)
            return .data(data)
        case .chunkSize:
            guard let line = takeLine() else { return .needMore }
            let digits = line.split(separator: ";", omittingEmptySubsequences: false).first ?? ""
            guard let size = Int(digits, radix: 16), size >= 0 else { return .fault("chunk size \(line.debugDescription)") }
            state = size == 0 ? .trailers : .chunk(size)
            return next()
        case .chunk(let rest):
            guard !queue.isEmpty else { return .needMore }
            let data = queue.take(rest)
            state = rest == data.count ? .chunkEnd : .chunk(rest - data.count)
            return .data(data)
        case .chunkEnd:
            guard queue.count >= 2 else { return .needMore }
            guard queue.take(2) == [13, 10] else { return .fault("no line end behind a chunk") }
            state = .chunkSize
            return next()
        case .trailers:
            guard let line = takeLine() else { return .needMore }
            guard !line.isEmpty else {
                state = .head
                return .end
            }
            trailers.append(line)
            return next()
        }
    }

    private mutating func takeLine() -> String? {
        guard let end = queue.offset(of: "\r\n") else { return nil }
        let line = queue.take(end)
        _ = queue.take(2)
        return String(decoding: line, as: UTF8.self)
    }

    private mutating func readHead() -> Step {
        guard !queue.isEmpty else { return .needMore }
        guard let end = queue.offset(of: "\r\n\r\n") else {
            return queue.count > 100_000 ? .fault("a head without an end") : .needMore
        }
        let text = String(decoding: queue.take(end), as: UTF8.self)
        _ = queue.take(4)
        var lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        let start = lines.removeFirst()
        var fields: [(name: String, value: String)] = []
        for line in lines {
            guard let colon = line.utf8.firstIndex(of: 0x3a) else { return .fault("field line \(line.debugDescription)") }
            let name = line[..<colon]
            guard !name.isEmpty, !name.utf8.contains(0x20) else { return .fault("field name \(name.debugDescription)") }
            var value = line[line.utf8.index(after: colon)...]
            while value.utf8.first == 0x20 { value.removeFirst() }
            while value.utf8.last == 0x20 { value.removeLast() }
            fields.append((String(name), String(value)))
        }
        return .head(MessageHead(start: String(start), fields: fields))
    }
}

/// The framing of a request that a backend got (RFC 9112 §6.3); nil when it is ambiguous.
func requestFraming(_ head: MessageHead) -> MessageReader.Framing? {
    switch (head.count("content-length"), head.count("transfer-encoding")) {
    case (0, 0): return MessageReader.Framing.none
    case (1, 0): return head.value("content-length").flatMap { Int($0) }.map { .length($0) }
    case (0, 1): return head.value("transfer-encoding") == "chunked" ? .chunked : nil
    default: return nil
    }
}

/// The framing of a response that a client got; nil when it is ambiguous.
func responseFraming(_ head: MessageHead, method: String) -> MessageReader.Framing? {
    let status = head.status
    if status == 204, head.count("content-length") + head.count("transfer-encoding") > 0 { return nil }
    if method == "HEAD" || status < 200 || status == 204 || status == 304 { return MessageReader.Framing.none }
    if head.count("content-length") + head.count("transfer-encoding") == 0 { return .untilClose }
    return requestFraming(head)
}

import FuzzSupport
import HTTP1
import HTTP2
import HTTPMessages
import Primitives

/// Any frames, to a server and to a client: no trap, the same events however the bytes are cut, every text one head or none for
/// the parser of HTTP/1.1, and no stream, byte or block that is not accounted for.
///
/// The first byte says which end is tried and what the owner does; the rest is frames in a short form (type, flags, stream,
/// length, payload), or bytes as they are.
@main
enum HTTP2SessionFuzzer {
    static func main() {
        fuzz { data, size in
            test(input(data, size))
            return 0
        }
    }
}

private let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
private let settings: [UInt8] = [0, 0, 0, 4, 0, 0, 0, 0, 0]
private let acknowledgement: [UInt8] = [0, 0, 0, 4, 1, 0, 0, 0, 0]

private func test(_ bytes: [UInt8]) {
    guard let choice = bytes.first else { return }
    let isServer = choice & 1 == 0
    let frames = choice & 2 == 0 ? expanded(bytes.dropFirst()) : Array(bytes.dropFirst())
    let start = (isServer ? preface : []) + settings + acknowledgement
    let whole = Owner(isServer: isServer, choice: 0)
    whole.receive(start)
    whole.receive(frames)
    for cut in cuts(frames) {
        let other = Owner(isServer: isServer, choice: 0)
        other.receive(start)
        other.receive(Array(frames[..<cut]))
        other.receive(Array(frames[cut...]))
        // A connection may end at another frame, since budgets look at all that a read brings.
        let count = min(whole.seen.count, other.seen.count)
        precondition(whole.seen.prefix(count) == other.seen.prefix(count), "cut at \(cut), other things happen")
    }
    let owner = Owner(isServer: isServer, choice: choice)
    owner.receive(start)
    for piece in pieces(frames) { owner.receive(piece) }
    owner.finish()
}

/// `type flags stream length payload`, again and again, as frames.
private func expanded(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
    var result = [UInt8]()
    var rest = bytes
    while rest.count >= 4 {
        let head = Array(rest.prefix(4))
        rest = rest.dropFirst(4)
        let payload = rest.prefix(Int(head[3]))
        rest = rest.dropFirst(payload.count)
        result += [0, 0, UInt8(payload.count), head[0], head[1], 0, 0, 0, head[2]] + payload
    }
    return result
}

private func pieces(_ bytes: [UInt8]) -> [[UInt8]] {
    let size = max(1, bytes.count / 8)
    return stride(from: 0, to: bytes.count, by: size).map { Array(bytes[$0..<min($0 + size, bytes.count)]) }
}

/// Whoever owns the session: answers, consumes, resets and releases, as the input says.
private final class Owner {
    private var session: HTTP2Session
    private let memory: HTTP2Memory
    private let isServer: Bool
    private let choice: UInt8
    private var now = Instant(nanoseconds: 1)
    private var out = ByteBuffer(capacity: 1024)
    private(set) var seen: [[UInt64]] = []
    private var live: [HTTP2StreamID] = []

    init(isServer: Bool, choice: UInt8) {
        let role: HTTP2Role =
            isServer
            ? .server(HTTP2ServerPolicy(scheme: .http, maxConcurrentStreams: 5, extendedConnect: true))
            : .client(HTTP2ClientPolicy(maxConcurrentStreams: 5))
        guard let memory = HTTP2Memory(), let session = HTTP2Session(role, memory: memory, at: now, seed: 1) else {
            preconditionFailure("no memory")
        }
        self.memory = memory
        self.session = session
        self.isServer = isServer
        self.choice = choice
        if !isServer {
            let head = Array("POST /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n".utf8)
            for i in 0..<4 {
                let id = head.withUnsafeBytes { self.session.submitRequest($0, scheme: .http, endsStream: i == 0, token: 1) }
                if let id { live.append(id) }
            }
            write()
        }
    }

    func receive(_ bytes: [UInt8]) {
        withPrefix(bytes, bytes.count) { span in
            _ = span.withUnsafeBytes { session.receive($0, at: now) }
            drainEvents()
        }
        if choice != 0 {
            write()
            drainEvents()
            now = now + .milliseconds(100)
        }
        precondition(session.activeStreams <= 5, "more streams than there are places")
        precondition(session.pendingTotal >= 0)
    }

    func finish() {
        if choice & 4 != 0 { session.drain() }
        if choice & 8 != 0 { session.ping(at: now) }
        if choice & 16 != 0 { session.deadlineFired(at: session.nextDeadline) }
        if choice & 32 != 0 { session.goAway(.internalError) }
        write()
        drainEvents()
        for stream in live {
            session.reset(stream, .cancel)
            session.released(stream, at: now)
        }
        write()
        drainEvents()
        if session.failure == nil {
            // One may have a header block that has not come to its end.
            precondition(session.activeStreams <= 1, "a place is lost")
            precondition(session.pendingTotal == 0, "bytes are lost")
        }
    }

    private func write() {
        out.clear()
        var rounds = 0
        while session.write(into: &out, limit: 1000) {
            rounds += 1
            precondition(rounds < 10_000, "writing does not end")
        }
    }

    private func drainEvents() {
        while let event = session.nextEvent() {
            switch event {
            case .head(let stream, let endsStream):
                note(stream, 1, digest(Array(session.headText(stream))), endsStream ? 1 : 0)
                judgeHead(Array(session.headText(stream)))
                session.takeHead(stream)
                live.append(stream)
                answer(stream)
            case .refusedHead(let stream, let fault):
                note(stream, 2, UInt64(fault.status))
                live.append(stream)
                answer(stream)
            case .data(let stream, let bytes):
                var sum: UInt64 = 0
                for byte in bytes { sum += UInt64(byte) }
                // Pieces of one run are the same as the run.
                if let last = seen.last, last.count == 4, last[0] == UInt64(stream.number), last[1] == 3 {
                    seen[seen.count - 1] = [last[0], 3, last[2] + sum, last[3] + UInt64(bytes.count)]
                } else {
                    seen.append([UInt64(stream.number), 3, sum, UInt64(bytes.count)])
                }
                if choice & 64 == 0 { session.consume(stream, bytes.count) }
            case .trailers(let stream):
                let text = Array(session.trailerText(stream))
                note(stream, 4, digest(text))
                requireWholeLines(text)
                precondition(text.suffix(2) == [13, 10], "trailers without an end")
            case .end(let stream): note(stream, 5)
            case .reset(let stream, let code, let isSafe): note(stream, 6, UInt64(code.rawValue), isSafe ? 1 : 0)
            case .closed(let stream):
                note(stream, 7)
                session.released(stream, at: now)
                live.removeAll { $0 == stream }
            case .goAway(let last, let code): seen.append([8, UInt64(last), UInt64(code.rawValue)])
            case .settings: seen.append([9])
            case .pingAcknowledged: seen.append([10])
            }
        }
    }

    private func note(_ stream: HTTP2StreamID, _ numbers: UInt64...) { seen.append([UInt64(stream.number)] + numbers) }

    private func judgeHead(_ text: [UInt8]) {
        requireWholeLines(text)
        if isServer {
            var head = RequestHead()
            switch RequestParser.parse(text.span.bytes, limits: Limits(), into: &head) {
            case .needMore: preconditionFailure("the text is no whole head")
            case .head(let consumed): precondition(consumed == text.count, "the text is more than one head")
            case .refused: break
            }
        } else {
            var head = ResponseHead()
            switch ResponseParser.parse(text.span.bytes, limits: .response, requestMethod: .post, into: &head) {
            case .needMore: preconditionFailure("the text is no whole head")
            case .head(let consumed): precondition(consumed == text.count, "the text is more than one head")
            case .refused: break
            }
        }
    }

    /// By the number of the stream and the choice: a whole answer, half of one, a reset, or nothing yet.
    private func answer(_ stream: HTTP2StreamID) {
        guard choice != 0 else { return }
        let head = Array("HTTP/1.1 200 OK\r\nX: y\r\n\r\n".utf8)
        let body = [UInt8](repeating: 1, count: 40_000)
        switch (Int(stream.number) / 2 + Int(choice >> 2)) % 4 {
        case 0:
            _ = head.withUnsafeBytes { session.submitResponse(stream, $0, endsStream: false) }
            _ = body.withUnsafeBytes { session.send(stream, $0) }
            _ = head.dropFirst(17).withUnsafeBytes { session.end(stream, trailers: $0) }
        case 1:
            _ = head.withUnsafeBytes { session.submitResponse(stream, $0, endsStream: false) }
            _ = body.withUnsafeBytes { session.send(stream, $0, into: &out, limit: 20_000) }
        case 2: session.reset(stream, .internalError)
        default: break
        }
        while session.nextDrained() != nil {}
    }
}

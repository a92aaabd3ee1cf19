import Glibc

/// One planned request, how its backend will behave, and what became of it.
final class Trial {
    enum Framing {
        case none, length, chunked
    }

    /// What the backend does with the request.
    enum Behaviour: Equatable {
        case answer
        /// Answers at the head, before the body has come.
        case answerEarly
        /// Answers with the head at the head, and with the body once the request's has come.
        case answerDuplex
        /// Answers, and sends bytes behind the answer that nobody asked for.
        case answerAndMore
        case closeBeforeHead
        case resetBeforeHead
        case hang
        /// Ends in the middle of the announced body.
        case truncate(resets: Bool)
        case breakChunk
        case garbage
        case hugeHead
        /// Pauses in the middle of the body for longer than the gateway waits.
        case stall
        case switchProtocols
        case endlessInterims

        /// The client cannot get a whole answer.
        var fails: Bool {
            switch self {
            case .answer, .answerEarly, .answerDuplex, .answerAndMore: false
            default: true
            }
        }
    }

    enum ResponseFraming {
        case length, chunked, untilClose
    }

    let tag: Int
    var method = "GET"
    var route = "plain"
    var framing = Framing.none
    var requestBytes = 0
    var expectsContinue = false
    var isVersion10 = false
    var asksToClose = false
    /// Over the body limit.
    var isTooLarge = false
    /// Breaks the rules; to be answered with 400.
    var isMalformed = false

    var behaviour = Behaviour.answer
    var delay: UInt64 = 0
    var status = 200
    var responseFraming = ResponseFraming.length
    var responseBytes = 0
    var interims = 0
    var backendCloses = false
    var backendIsVersion10 = false
    var hasTrailers = false

    /// What a middleware does with it in each phase; nil leaves it to the dice.
    var requestStage: StageAct?
    var responseStage: StageAct?

    enum StageAct {
        case proceed
        /// Suspends, and goes on after so many nanoseconds.
        case suspend(UInt64)
        case answer
        /// Suspends and never comes back.
        case hang
    }

    // What became of it.

    /// The connections on which a backend saw its head, and those on which one saw bytes of its body.
    var seenBy: Set<Int> = []
    var bodySeenBy: Set<Int> = []
    var answers = 0
    /// A middleware made up its mind to answer itself, or was asked never to.
    var stageAnswers = false
    var stageHangs = false
    /// A backend's connection failed under it without its doing.
    var lostConnection = false

    init(tag: Int, _ change: (Trial) -> Void = { _ in }) {
        self.tag = tag
        change(self)
    }

    /// The backend closes behind its answer.
    var closesBackend: Bool { responseFraming == .untilClose && hasResponseBody || backendCloses || backendIsVersion10 }
    var isIdempotent: Bool { method != "POST" }
    var path: String { "/\(route)/\(tag)" }

    var requestBody: ArraySlice<UInt8> { Pattern.slice(tag &* 7919 &+ 13, requestBytes) }
    var responseBody: ArraySlice<UInt8> { Pattern.slice(tag &* 104_729 &+ 77, hasResponseBody ? responseBytes : 0) }
    var hasResponseBody: Bool { method != "HEAD" && status != 204 && status != 304 }

    var summary: String {
        "\(tag) \(method) \(route) \(framing) \(requestBytes)\(expectsContinue ? " expects 100" : "")\(isVersion10 ? " 1.0" : "") → "
            + "\(behaviour) \(status) \(responseFraming) \(responseBytes) interims \(interims) closes \(backendCloses) 1.0 \(backendIsVersion10)"
    }

    /// The request as it goes over the wire, head and body.
    var wire: (head: [UInt8], body: [UInt8]) {
        var text = "\(method) \(path) HTTP/1.\(isVersion10 ? 0 : 1)\r\nHost: sim.test\r\nX-Tag: \(tag)\r\n"
        if isMalformed { text += "Content-Length: 3\r\nContent-Length: 4\r\n" }
        if asksToClose { text += "Connection: close\r\n" }
        if isVersion10, !asksToClose { text += "Connection: keep-alive\r\n" }
        if expectsContinue { text += "Expect: 100-continue\r\n" }
        var body: [UInt8] = []
        switch framing {
        case .none: break
        case .length:
            text += "Content-Length: \(requestBytes)\r\n"
            body = Array(requestBody)
        case .chunked:
            text += "Transfer-Encoding: chunked\r\n"
            body = chunked(requestBody, trailer: hasTrailers ? "X-Sum: \(tag)\r\n" : "")
        }
        return (Array((text + "\r\n").utf8), body)
    }
}

/// Bytes that no two messages share a run of.
enum Pattern {
    private static let bytes: [UInt8] = {
        var state: UInt64 = 88_172_645_463_325_252
        var result: [UInt8] = []
        result.reserveCapacity(size)
        while result.count < size {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            withUnsafeBytes(of: state) { result.append(contentsOf: $0) }
        }
        return result
    }()
    private static var size: Int { 1 << 20 }

    static func slice(_ offset: Int, _ count: Int) -> ArraySlice<UInt8> {
        let start = offset % (size - 400_000)
        return bytes[start..<start + count]
    }
}

/// Whether `data` is what stands at `offset` in `whole`.
func continues(_ whole: ArraySlice<UInt8>, at offset: Int, _ data: [UInt8]) -> Bool {
    guard offset + data.count <= whole.count else { return false }
    return whole.withUnsafeBytes { expected in
        data.withUnsafeBytes { $0.isEmpty || memcmp($0.baseAddress!, expected.baseAddress! + offset, $0.count) == 0 }
    }
}

/// The chunked coding of `body`, in chunks of growing size.
func chunked(_ body: ArraySlice<UInt8>, trailer: String = "") -> [UInt8] {
    var coded: [UInt8] = []
    var rest = body
    var size = 1
    while !rest.isEmpty {
        let piece = rest.prefix(size)
        coded += Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10]
        rest = rest.dropFirst(piece.count)
        size = size * 3 + 5
    }
    return coded + Array("0\r\n\(trailer)\r\n".utf8)
}

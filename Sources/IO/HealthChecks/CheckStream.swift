import HTTP1
import HTTP2
import HTTPMessages
import Health
import Primitives

/// A connection of HTTP/2 to an instance, with the stream of the check that runs on it: the twin of `CheckResponse`. It hands what it
/// finds to a judge, and keeps nothing of a body but the few bytes of a gRPC message.
///
/// Windows are as large as the body that is read, so that an instance which sends more must wait; what concerns the connection is
/// bounded by the budgets of the session. The deadlines of the session are not used: a check has its own.
final class CheckStream {
    private enum State {
        /// No question yet, or the answer to the last is complete. Becomes `waiting`.
        case idle
        /// Becomes `inBody` or `idle`.
        case waiting(HTTP2StreamID, interims: Int)
        /// `bytes` of the body have come. Becomes `idle`.
        case inBody(HTTP2StreamID, bytes: Int)
    }

    private var http2: HTTP2Session
    private var state = State.idle
    private var judge: any AnswerJudge = CheckJudge(CheckExpectation())
    /// The instance takes no more streams.
    private var isDraining = false
    /// The connection is over.
    private var isOver = false
    /// Whether a part of the answer has come.
    private(set) var hasBegun = false

    static var policy: HTTP2ClientPolicy {
        HTTP2ClientPolicy(
            maxConcurrentStreams: 1, streamWindowBytes: CheckJudge.bodyMax, connectionWindowBytes: CheckJudge.bodyMax)
    }

    init(_ http2: consuming HTTP2Session) { self.http2 = http2 }

    var verdict: CheckJudge.Verdict? { judge.verdict }

    /// Opens a stream with a question; `write` has its frames.
    /// - Parameters:
    ///   - head: as the text of HTTP/1.1.
    ///   - body: empty for none.
    ///   - judge: one that has seen nothing yet.
    /// - Returns: false when the connection takes no more.
    func ask(_ head: [UInt8], body: [UInt8], _ judge: any AnswerJudge, scheme: Scheme) -> Bool {
        guard case .idle = state, !isDraining, !isOver else { return false }
        let stream = head.withUnsafeBytes { http2.submitRequest($0, scheme: scheme, endsStream: body.isEmpty, token: 0) }
        guard let stream else { return false }
        if !body.isEmpty {
            _ = body.withUnsafeBytes { http2.send(stream, $0) }
            http2.end(stream)
        }
        self.judge = judge
        hasBegun = false
        state = .waiting(stream, interims: 0)
        return true
    }

    /// Appends what is to be sent, some 16 KiB at a time.
    /// - Parameter head: room to parse in; what it holds afterwards means nothing.
    /// - Returns: whether there is more.
    func write(into out: inout ByteBuffer, at now: Instant, scratch head: inout ResponseHead) -> Bool {
        let isMore = http2.write(into: &out, limit: 16_384)
        // Streams also close when their last frame is written, and errors that nghttp2 found show when the instance is told.
        readEvents(&head, at: now)
        if http2.failure != nil { isOver = true }
        return isMore
    }

    /// Tells the instance that no more questions will come; `write` has the frame.
    func sayFarewell() { if !isOver { http2.goAway(.noError) } }

    /// Bytes have come. What follows from them is to be written before `progress` is asked.
    func received(_ bytes: UnsafeRawBufferPointer, at now: Instant, scratch head: inout ResponseHead) {
        let goesOn = http2.receive(bytes, at: now)
        readEvents(&head, at: now)
        if !goesOn { isOver = true }
    }

    var progress: CheckResponse.Progress {
        switch state {
        case .idle: return isOver || isDraining ? .spent : .complete
        case .waiting, .inBody: return isOver ? .spent : .more
        }
    }

    /// There will be no more of it.
    func gaveUp(_ fault: CheckJudge.Fault) -> CheckJudge.Verdict { judge.gaveUp(fault) }

    private func readEvents(_ head: inout ResponseHead, at now: Instant) {
        while let event = http2.nextEvent() {
            switch event {
            case .head(let stream, let endsStream): headReceived(stream, endsStream: endsStream, &head)
            case .refusedHead(let stream, _): broken(stream)
            case .data(let stream, let bytes): bodyReceived(stream, bytes)
            case .trailers(let stream): trailersReceived(stream, &head)
            case .end(let stream): ended(stream)
            case .reset(let stream, _, isSafeToRetry: true): refused(stream)
            case .reset(let stream, _, isSafeToRetry: false): broken(stream)
            case .closed(let stream):
                broken(stream)
                http2.released(stream, at: now)
            case .goAway: isDraining = true
            case .settings, .pingAcknowledged: break
            }
        }
    }

    private func isCurrent(_ stream: HTTP2StreamID) -> Bool {
        switch state {
        case .idle: false
        case .waiting(let current, _), .inBody(let current, _): current == stream
        }
    }

    private func headReceived(_ stream: HTTP2StreamID, endsStream: Bool, _ head: inout ResponseHead) {
        guard case .waiting(let current, let interims) = state, current == stream else { return http2.takeHead(stream) }
        hasBegun = true
        let text = RawSpan(_unsafeBytes: http2.headText(stream))
        let outcome = ResponseParser.parse(text, limits: .response, requestMethod: .get, into: &head)
        http2.takeHead(stream)
        guard case .head = outcome else { return broken(stream) }
        guard !head.isInterim else {
            guard head.status != 101, interims < CheckResponse.interimMax else { return broken(stream) }
            state = .waiting(stream, interims: interims + 1)
            return
        }
        state = .inBody(stream, bytes: 0)
        judge.headReceived(head)
        if endsStream { ended(stream) }
    }

    private func bodyReceived(_ stream: HTTP2StreamID, _ bytes: UnsafeRawBufferPointer) {
        http2.consume(stream, bytes.count)
        guard case .inBody(let current, let before) = state, current == stream else { return }
        judge.bodyReceived(bytes)
        let all = before + bytes.count
        state = .inBody(stream, bytes: all)
        guard judge.verdict != nil, all > CheckJudge.bodyMax else { return }
        // The rest is not worth its bytes, and the connection need not go with it.
        state = .idle
        http2.reset(stream, .cancel)
    }

    private func trailersReceived(_ stream: HTTP2StreamID, _ head: inout ResponseHead) {
        guard isCurrent(stream) else { return }
        head.clear()
        let text = RawSpan(_unsafeBytes: http2.trailerText(stream))
        guard TrailerParser.parse(text, limits: .response, into: &head.headers) == nil else { return broken(stream) }
        judge.trailersReceived(head.headers)
        ended(stream)
    }

    /// The answer is complete.
    private func ended(_ stream: HTTP2StreamID) {
        guard isCurrent(stream) else { return }
        state = .idle
        judge.ended()
    }

    /// The instance has promised not to have looked at it (RFC 9113 §8.7), which says nothing of it where others went before.
    private func refused(_ stream: HTTP2StreamID) {
        guard isCurrent(stream) else { return }
        if hasBegun { return broken(stream) }
        state = .idle
        isOver = true
    }

    /// There will be no answer, or no whole one.
    private func broken(_ stream: HTTP2StreamID) {
        guard isCurrent(stream) else { return }
        // Bytes came that were no answer, or its end: nothing is to be had from asking again.
        hasBegun = true
        state = .idle
        _ = gaveUp(.malformed)
        http2.reset(stream, .cancel)
    }
}

import HTTP1
import HTTPMessages
import Health
import Primitives
import Reactor

/// Reads the response to one check: hands what it finds to the judge, and keeps nothing but a head that is not complete.
///
/// Whatever comes ends in a verdict, or is bounded until the check's deadline gives one: heads in bytes and in number, bodies
/// in bytes with all that frames them.
struct CheckResponse {
    /// Interim responses before the instance is taken for broken.
    static var interimMax: Int { 16 }
    /// Bytes of body with their framing, of which an endless run of tiny chunks has most.
    static var bodyBytesMax: Int { 2 * CheckJudge.bodyMax }

    enum Progress {
        case more
        /// The response is complete, and the connection is good for another.
        case complete
        /// Nothing more may be read from the connection, or nothing more is wanted. There is a verdict.
        case spent
    }

    private enum State {
        /// Becomes `body` with the final head, or `over`.
        case head(interims: Int, bytes: Int)
        /// Becomes `over`.
        case body(BodyReader, allowsReuse: Bool, bytes: Int)
        case over
    }

    /// Whether a byte of it has come.
    private(set) var hasBegun = false
    private var judge: CheckJudge
    private var state = State.head(interims: 0, bytes: 0)
    private var input = Incoming()

    /// - Parameter judge: one that has seen nothing yet.
    init(judge: CheckJudge) { self.judge = judge }

    var verdict: CheckJudge.Verdict? { judge.verdict }

    /// Frees what is kept; to be called before the value goes.
    mutating func discard() { input.discard() }

    /// Bytes have come.
    /// - Parameters:
    ///   - bytes: at least one.
    ///   - head: room to parse in; what it holds afterwards means nothing.
    mutating func received(_ bytes: UnsafeRawBufferPointer, scratch head: inout ResponseHead) -> Progress {
        hasBegun = true
        switch state {
        case .head: return headReceived(bytes, &head)
        case .body(let reader, let allowsReuse, let read): return bodyReceived(bytes, reader, allowsReuse, read)
        case .over: return .spent
        }
    }

    /// The instance has closed its side, and all its bytes were read.
    mutating func inputClosed() -> CheckJudge.Verdict {
        defer { end() }
        guard case .body(var reader, _, _) = state, reader.inputClosed() else { return judge.gaveUp(.malformed) }
        return judge.responseEnded()
    }

    /// There will be no more of it.
    mutating func gaveUp(_ fault: CheckJudge.Fault) -> CheckJudge.Verdict {
        end()
        return judge.gaveUp(fault)
    }

    private mutating func headReceived(_ bytes: UnsafeRawBufferPointer, _ head: inout ResponseHead) -> Progress {
        guard case .head(var interims, var headBytes) = state else { return .spent }
        let limits = Limits.response
        let bytesMax = limits.responseHeadBytesMax
        let isHeld = !input.isEmpty
        if isHeld {
            input.append(bytes)
            // The parser starts over with each call, so it is called when a line has ended, or when it must refuse.
            guard bytes.contains(ASCII.lf) || headBytes + input.count > bytesMax else { return .more }
        }
        let all = isHeld ? input.bytes : bytes
        var start = 0
        while true {
            let rest = UnsafeRawBufferPointer(rebasing: all[start...])
            switch ResponseParser.parse(RawSpan(_unsafeBytes: rest), limits: limits, requestMethod: .get, into: &head) {
            case .needMore:
                guard headBytes + rest.count <= bytesMax else { return malformed() }
                state = .head(interims: interims, bytes: headBytes)
                if isHeld { input.removeFirst(start) } else { input.append(rest) }
                return .more
            case .refused:
                return malformed()
            case .head(let consumed):
                start += consumed
                headBytes += consumed
                guard head.isInterim else {
                    judge.headReceived(head)
                    let progress = bodyReceived(
                        UnsafeRawBufferPointer(rebasing: all[start...]), BodyReader(head.framing), head.allowsReuse, 0)
                    input.discard()
                    return progress
                }
                interims += 1
                // Nobody asked for another protocol (RFC 9110 §7.8).
                guard head.status != 101, interims <= Self.interimMax else { return malformed() }
            }
        }
    }

    private mutating func bodyReceived(
        _ bytes: UnsafeRawBufferPointer, _ body: BodyReader, _ allowsReuse: Bool, _ before: Int
    ) -> Progress {
        var reader = body
        var position = 0
        while true {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
            switch reader.next(RawSpan(_unsafeBytes: rest)) {
            case .data(let range):
                _ = judge.bodyReceived(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: rest[range])))
                position += range.upperBound
            case .trailers(let range):
                position += range.upperBound
            case .needMore:
                return moreWanted(reader, allowsReuse, before + bytes.count)
            case .end(let consumed):
                _ = judge.responseEnded()
                end()
                // What stands behind it was not asked for (RFC 9112 §9.2).
                return allowsReuse && position + consumed == bytes.count ? .complete : .spent
            case .refused:
                return malformed()
            }
        }
    }

    /// Whether the rest of a body is worth its bytes: for the verdict, or for the connection.
    private mutating func moreWanted(_ reader: BodyReader, _ allowsReuse: Bool, _ read: Int) -> Progress {
        if judge.verdict == nil, read > Self.bodyBytesMax { _ = judge.gaveUp(.body) }
        let isWanted =
            judge.verdict == nil
            || allowsReuse && read < CheckJudge.bodyMax && reader.announcedBytes <= UInt64(CheckJudge.bodyMax - read)
        guard isWanted else {
            end()
            return .spent
        }
        state = .body(reader, allowsReuse: allowsReuse, bytes: read)
        return .more
    }

    private mutating func malformed() -> Progress {
        _ = gaveUp(.malformed)
        return .spent
    }

    private mutating func end() {
        state = .over
        input.discard()
    }
}

import GRPC
import HTTPMessages
import Health
import Primitives

/// Judges one gRPC health check while its answer comes in: HTTP 200, a status of OK, and a message that says SERVING, or the
/// instance is not well.
struct HealthCallJudge: AnswerJudge {
    private enum State {
        /// Nothing of an answer yet. Becomes `inBody` or `judged`.
        case waiting
        /// Keeps the body, which is short. The status comes behind it, or stood in the head. Becomes `judged`.
        case inBody([UInt8], status: GRPCStatus?)
        case judged(CheckJudge.Verdict)
    }

    private var state = State.waiting

    var verdict: CheckJudge.Verdict? {
        if case .judged(let verdict) = state { verdict } else { nil }
    }

    mutating func headReceived(_ head: borrowing ResponseHead) {
        guard case .waiting = state else { return }
        if head.status != 200 {
            state = .judged(.failed(.status))
        } else if !GRPCContentType.isGRPC(head) {
            state = .judged(.failed(.malformed))
        } else {
            state = .inBody([], status: TrailersOnly.status(head.headers))
        }
    }

    mutating func bodyReceived(_ bytes: UnsafeRawBufferPointer) {
        guard case .inBody(var body, let status) = state else { return }
        guard bytes.count <= HealthMessage.responseBytesMax - body.count else {
            state = .judged(.failed(.malformed))
            return
        }
        body += bytes
        state = .inBody(body, status: status)
    }

    mutating func trailersReceived(_ trailers: borrowing HeaderBlock) {
        guard case .inBody(let body, let status) = state else { return }
        state = .inBody(body, status: TrailersOnly.status(trailers) ?? status)
    }

    mutating func ended() {
        switch state {
        case .waiting: state = .judged(.failed(.malformed))
        case .inBody(let body, let status): state = .judged(Self.judge(body, status))
        case .judged: break
        }
    }

    mutating func gaveUp(_ fault: CheckJudge.Fault) -> CheckJudge.Verdict {
        if let verdict { return verdict }
        state = .judged(.failed(fault))
        return .failed(fault)
    }

    private static func judge(_ body: [UInt8], _ status: GRPCStatus?) -> CheckJudge.Verdict {
        switch status {
        case nil: return .failed(.malformed)
        case .ok?: break
        case .some: return .failed(.grpcStatus)
        }
        do throws(HealthMessageFault) {
            switch try HealthMessage.readResponse(body.span.bytes) {
            case .serving: return .passed
            case .unknown, .notServing, .serviceUnknown: return .failed(.notServing)
            }
        } catch {
            switch error {
            case .truncated, .surplus, .compressed, .tooLong, .malformed: return .failed(.malformed)
            }
        }
    }
}

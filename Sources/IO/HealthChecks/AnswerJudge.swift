import HTTPMessages
import Health
import Primitives

/// Judges the answer to one check while it comes in. A part that comes after the verdict changes nothing.
protocol AnswerJudge {
    /// nil: more must come.
    var verdict: CheckJudge.Verdict? { get }

    /// The final head. An interim one is not told.
    mutating func headReceived(_ head: borrowing ResponseHead)
    mutating func bodyReceived(_ bytes: UnsafeRawBufferPointer)
    mutating func trailersReceived(_ trailers: borrowing HeaderBlock)
    /// The answer is complete.
    mutating func ended()
    /// There will be no (further) answer.
    mutating func gaveUp(_ fault: CheckJudge.Fault) -> CheckJudge.Verdict
}

extension CheckJudge: AnswerJudge {
    mutating func headReceived(_ head: borrowing ResponseHead) {
        guard statusReceived(head.status) == nil else { return }
        for i in 0..<head.headers.count { fieldReceived(name: head.headers.name(i), value: head.headers.value(i)) }
        _ = headEnded()
    }

    mutating func bodyReceived(_ bytes: UnsafeRawBufferPointer) {
        _ = bodyReceived(RawSpan(_unsafeBytes: bytes)) as Verdict?
    }

    mutating func trailersReceived(_ trailers: borrowing HeaderBlock) {}

    mutating func ended() { _ = responseEnded() }
}

import HTTPMessages
import Pipeline

/// A middleware that draws what it does: goes on, suspends and is resumed a while later, answers, or never comes back.
///
/// It belongs to one simulation, which runs on one thread.
final class SuspendingStage: Middleware, @unchecked Sendable {
    private unowned let world: World
    private let number: Int

    var name: String { "stage \(number)" }

    init(_ world: World, number: Int) {
        self.world = world
        self.number = number
    }

    func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
        guard let trial = trial(head.headers.text("x-tag")) else { return .proceed }
        return carryOut(trial.requestStage ?? draw(), trial, context)
    }

    func response(_ head: inout ResponseHead, to request: borrowing RequestHead, _ context: inout RequestContext) -> Verdict {
        guard let trial = trial(request.headers.text("x-tag")) else { return .proceed }
        return carryOut(trial.responseStage ?? draw(), trial, context)
    }

    private func trial(_ tag: String?) -> Trial? { tag.flatMap { Int($0) }.flatMap { world.trials[$0] } }

    private func draw() -> Trial.StageAct {
        let network = world.network
        switch network.upTo(39) {
        case 0, 1: return .answer
        case 2 where world.stagesHang: return .hang
        case 3...20: return .suspend(network.upTo(network.pick([0, 1_000_000, 300_000_000])))
        default: return .proceed
        }
    }

    private func carryOut(_ act: Trial.StageAct, _ trial: Trial, _ context: borrowing RequestContext) -> Verdict {
        switch act {
        case .proceed: return .proceed
        case .hang:
            trial.stageHangs = true
            return .suspend
        case .suspend(let delay):
            later(context.suspension(), .proceed, delay)
            return .suspend
        case .answer:
            trial.stageAnswers = true
            let text = Array("stage \(number) on \(trial.tag)".utf8)
            let answer = Answer(status: 418, fields: [("X-By", name)], body: text, contentType: "text/plain")
            if world.network.oneIn(2) { return .answer(answer) }
            later(context.suspension(), .answer(answer), world.network.upTo(300_000_000))
            return .suspend
        }
    }

    private func later(_ resumption: Resumption, _ verdict: ResumeVerdict, _ delay: UInt64) {
        let world = world
        let resume = {
            resumption.resume(verdict)
            // The second one counts for nothing.
            resumption.resume(.answer(Answer(status: 500)))
            world.signalMailboxes()
        }
        // On another thread the verdict may be there before `.suspend` is.
        if delay == 0 { resume() } else { world.network.after(delay, resume) }
    }
}

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
        decide(head.headers.text("x-tag"), context)
    }

    func response(_ head: inout ResponseHead, to request: borrowing RequestHead, _ context: inout RequestContext) -> Verdict {
        decide(request.headers.text("x-tag"), context)
    }

    private func decide(_ tag: String?, _ context: borrowing RequestContext) -> Verdict {
        let network = world.network
        guard let trial = tag.flatMap({ Int($0) }).flatMap({ world.trials[$0] }) else { return .proceed }
        let answer = Answer(
            status: 418, fields: [("X-By", name)], body: Array("stage \(number) on \(trial.tag)".utf8), contentType: "text/plain")
        switch network.upTo(39) {
        case 0:
            trial.stageAnswers = true
            return .answer(answer)
        case 1:
            trial.stageAnswers = true
            later(context.suspension(), .answer(answer))
            return .suspend
        case 2 where world.stagesHang:
            trial.stageHangs = true
            return .suspend
        case 3...7:
            // On another thread the verdict may be there before `.suspend` is.
            context.suspension().resume(.proceed)
            world.signalMailboxes()
            return .suspend
        case 8...20:
            later(context.suspension(), .proceed)
            return .suspend
        default:
            return .proceed
        }
    }

    private func later(_ resumption: Resumption, _ verdict: ResumeVerdict) {
        let world = world
        let delay = world.network.upTo(world.network.pick([0, 1_000_000, 300_000_000]))
        world.network.after(delay) {
            resumption.resume(verdict)
            // The second one counts for nothing.
            resumption.resume(.answer(Answer(status: 500)))
            world.signalMailboxes()
        }
    }
}

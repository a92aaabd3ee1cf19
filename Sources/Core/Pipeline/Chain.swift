import HTTPMessages
import Primitives

/// One link of a chain.
public enum Stage: Sendable {
    case headers(HeaderRules)
    /// Bytes that the body may have, in place of the listener's limit; 0 is no limit.
    case bodySize(limit: UInt64)
    case custom(any Middleware)
}

/// How far a phase came.
public enum ChainOutcome: Sendable {
    /// Through all stages.
    case proceed
    /// Ended by the stage at this index. The response phase of the stages before it runs over the answer: from `at - 1`.
    indirect case answer(Answer, at: Int)
    /// The stage at this index waits. When it is resumed, the phase goes on with the next: `at + 1` for a request, `at - 1` for
    /// a response.
    case suspended(at: Int)
}

/// The stages of a route, in their order; made once for each configuration.
///
/// The request phase runs from the first stage to the last, the response phase back. Each can be taken up at any index, so a
/// suspended exchange needs no stack of its own. Stages are kept as small plain values with indices, so that running them
/// retains nothing; only `custom` costs a call through a protocol.
public final class Chain: Sendable {
    private enum Step {
        case headers(Int)
        case bodySize(UInt64)
        case custom(Int)
    }

    private let steps: [Step]
    private let headerRules: [HeaderRules]
    private let middlewares: [any Middleware]

    public init(_ stages: [Stage]) {
        var steps = [Step]()
        var headerRules = [HeaderRules]()
        var middlewares = [any Middleware]()
        for stage in stages {
            switch stage {
            case .headers(let rules):
                steps.append(.headers(headerRules.count))
                headerRules.append(rules)
            case .bodySize(let limit):
                steps.append(.bodySize(limit == 0 ? .max : limit))
            case .custom(let middleware):
                steps.append(.custom(middlewares.count))
                middlewares.append(middleware)
            }
        }
        self.steps = steps
        self.headerRules = headerRules
        self.middlewares = middlewares
    }

    public var count: Int { steps.count }

    /// Where the response phase begins after all stages have seen the request; -1 in an empty chain.
    public var last: Int { steps.count - 1 }

    /// The name of the stage at `index`, for logs.
    public func name(of index: Int) -> String {
        guard steps.indices.contains(index) else { return "" }
        switch steps[index] {
        case .headers: return "headers"
        case .bodySize: return "body_size"
        case .custom(let k): return middlewares[k].name
        }
    }

    /// Runs the request phase from `index` on: 0 at first, the suspended stage's index + 1 when it has been resumed.
    public func runRequest(
        from index: Int, head: inout RequestHead, context: inout RequestContext
    ) -> ChainOutcome {
        var i = max(index, 0)
        while i < steps.count {
            switch steps[i] {
            case .headers(let k):
                headerRules[k].apply(to: &head, context)
            case .bodySize(let limit):
                context.bodyLimit = limit
                if case .length(let declared) = head.framing, declared > limit { return .answer(.bodyTooLarge, at: i) }
            case .custom(let k):
                let before = head.headers.count
                context.suspensionPoint = SuspensionPoint(exchange: context.exchangeToken, phase: .request, stage: i)
                let verdict = middlewares[k].request(&head, &context)
                head.headers.removeGatewayOwned(from: min(before, head.headers.count))
                switch verdict {
                case .proceed: break
                case .answer(let answer): return .answer(answer, at: i)
                case .suspend: return .suspended(at: i)
                }
            }
            i += 1
        }
        return .proceed
    }

    /// Runs the response phase from `index` down to the first stage: from `last` after a forwarded request, from the index
    /// before the one that answered, from the suspended stage's index - 1 when it has been resumed.
    public func runResponse(
        from index: Int, head: inout ResponseHead, request: borrowing RequestHead, context: inout RequestContext
    ) -> ChainOutcome {
        var i = min(index, last)
        while i >= 0 {
            switch steps[i] {
            case .headers(let k):
                headerRules[k].apply(to: &head, request: request, context)
            case .bodySize: break
            case .custom(let k):
                let before = head.headers.count
                context.suspensionPoint = SuspensionPoint(exchange: context.exchangeToken, phase: .response, stage: i)
                let verdict = middlewares[k].response(&head, to: request, &context)
                head.headers.removeGatewayOwned(from: min(before, head.headers.count))
                switch verdict {
                case .proceed: break
                case .answer(let answer): return .answer(answer, at: i)
                case .suspend: return .suspended(at: i)
                }
            }
            i -= 1
        }
        return .proceed
    }
}

extension Answer {
    /// The body is longer than the route takes (RFC 9110 §15.5.14); said before a byte of it is read.
    public static var bodyTooLarge: Answer {
        .error(
            status: 413, code: "INVALID_REQUEST", message: "the request body is larger than this route accepts",
            reason: "body_too_large")
    }
}

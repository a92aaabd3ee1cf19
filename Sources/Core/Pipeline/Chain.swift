import HTTPMessages
import Primitives

/// One link of a chain.
public enum Stage: Sendable {
    case headers(HeaderRules)
    /// Bytes that the body may have, in place of the listener's limit; 0 is no limit.
    case bodySize(limit: UInt64)
    case ipAccess(IPAccessRules)
    case clientCertificate(ClientCertificateStage)
    case cors(CORSRules)
    case custom(any Middleware)
}

extension Stage {
    fileprivate var isCORS: Bool {
        if case .cors = self { true } else { false }
    }
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
///
/// `cors` is put before all others, wherever it is listed: an answer that any other stage makes then passes its response phase, so
/// that a script can read why it was refused.
public final class Chain: Sendable {
    private enum Step {
        case headers(Int)
        case bodySize(UInt64)
        case ipAccess(Int)
        case clientCertificate(Int)
        case cors(Int)
        case custom(Int)
    }

    /// In the order in which they run, each with its place in the list that was given; for reports.
    public let stages: [(place: Int, stage: Stage)]
    private let steps: [Step]
    private let headerRules: [HeaderRules]
    private let ipAccessRules: [IPAccessRules]
    private let certificateRules: [ClientCertificateStage]
    private let corsRules: [CORSRules]
    private let middlewares: [any Middleware]

    public init(_ stages: [Stage]) {
        var steps = [Step]()
        var headerRules = [HeaderRules]()
        var ipAccessRules = [IPAccessRules]()
        var certificateRules = [ClientCertificateStage]()
        var corsRules = [CORSRules]()
        var middlewares = [any Middleware]()
        let given = stages.enumerated().map { (place: $0.offset, stage: $0.element) }
        let ordered = given.filter { $0.stage.isCORS } + given.filter { !$0.stage.isCORS }
        for (_, stage) in ordered {
            switch stage {
            case .headers(let rules):
                steps.append(.headers(headerRules.count))
                headerRules.append(rules)
            case .bodySize(let limit):
                steps.append(.bodySize(limit == 0 ? .max : limit))
            case .ipAccess(let rules):
                steps.append(.ipAccess(ipAccessRules.count))
                ipAccessRules.append(rules)
            case .clientCertificate(let rules):
                steps.append(.clientCertificate(certificateRules.count))
                certificateRules.append(rules)
            case .cors(let rules):
                steps.append(.cors(corsRules.count))
                corsRules.append(rules)
            case .custom(let middleware):
                steps.append(.custom(middlewares.count))
                middlewares.append(middleware)
            }
        }
        self.stages = ordered
        self.steps = steps
        self.headerRules = headerRules
        self.ipAccessRules = ipAccessRules
        self.certificateRules = certificateRules
        self.corsRules = corsRules
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
        case .ipAccess: return "ip_access"
        case .clientCertificate: return "client_cert"
        case .cors: return "cors"
        case .custom(let k): return middlewares[k].name
        }
    }

    /// The answer to a preflight, to be given before the chain runs: a browser sends one without credentials, and what follows it
    /// passes all stages. No stage sees it, in either phase. Nil where the head is no preflight or no stage answers those.
    public func preflight(_ head: borrowing RequestHead) -> Answer? { corsRules.first?.preflight(head) }

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
            case .ipAccess(let k):
                if !ipAccessRules[k].admits(context) { return .answer(.ipDenied, at: i) }
            case .clientCertificate(let k):
                if !certificateRules[k].admits(context) { return .answer(.certificateDenied, at: i) }
            case .cors(let k):
                if let answer = corsRules[k].preflight(head) { return .answer(answer, at: i) }
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
            case .bodySize, .ipAccess, .clientCertificate: break
            case .cors(let k):
                corsRules[k].apply(to: &head, request: request)
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

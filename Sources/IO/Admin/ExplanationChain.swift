import HTTPMessages
import Pipeline
import Primitives
import Proxy

/// Runs the built-in stages of a route one by one and notes what each did.
struct ExplanationChain {
    private let chain: Chain
    /// The names in the file of the last stages that the chain was made of; those before them have none.
    private let names: [String]

    init(_ snapshot: GatewaySnapshot, route: Int) {
        chain = snapshot.route(route).chain
        names = RoutesReport.middlewareNames(snapshot.configuration.routes[route], snapshot.configuration)
    }

    /// - Returns: what the stages did as far as the request came, and the answer of the stage that ended it.
    func run(
        _ head: inout RequestHead, _ context: inout RequestContext
    ) -> (results: [ExplanationTrace.StageResult], answer: (answer: Answer, stage: String)?) {
        var results: [ExplanationTrace.StageResult] = []
        for (index, (place, stage)) in chain.stages.enumerated() {
            let kind = chain.name(of: index)
            let name = name(place: place) ?? kind
            if case .custom = stage {
                results.append(.init(name: name, kind: "custom", result: "not run, since it may have effects"))
                continue
            }
            let before = Marks(head)
            let limit = context.bodyLimit
            // A chain of this stage alone runs the same code as the whole one.
            switch Chain([stage]).runRequest(from: 0, head: &head, context: &context) {
            case .proceed, .suspended:
                var result = before.changes(in: head)
                if context.bodyLimit != limit {
                    result.append(context.bodyLimit == .max ? "body without limit" : "body of at most \(context.bodyLimit) bytes")
                }
                results.append(.init(name: name, kind: kind, result: result.isEmpty ? "passed" : result.joined(separator: ", ")))
            case .answer(let answer, _):
                results.append(.init(name: name, kind: kind, result: "answered \(answer.status)"))
                return (results, (answer, name))
            }
        }
        return (results, nil)
    }

    /// Where a stage of the chain answers the preflight, the name of that stage.
    func preflight(_ head: borrowing RequestHead) -> (answer: Answer, stage: ExplanationTrace.StageResult)? {
        guard let answer = chain.preflight(head) else { return nil }
        for (index, (place, stage)) in chain.stages.enumerated() {
            guard case .cors = stage else { continue }
            let kind = chain.name(of: index)
            return (answer, .init(name: name(place: place) ?? kind, kind: kind, result: "answered the preflight"))
        }
        return nil
    }

    private func name(place: Int) -> String? {
        let unnamed = chain.count - names.count
        return unnamed >= 0 && place >= unnamed ? names[place - unnamed] : nil
    }

    /// Which fields were there before a stage.
    private struct Marks {
        private let isRemoved: [Bool]

        init(_ head: borrowing RequestHead) { isRemoved = head.headers.fields.map(\.isRemoved) }

        /// By names only: values of the configuration may be secrets.
        func changes(in head: borrowing RequestHead) -> [String] {
            var removed: [String] = []
            var changes: [String] = []
            for i in isRemoved.indices where head.headers.fields[i].isRemoved && !isRemoved[i] {
                removed.append(text(head.headers.name(i)))
            }
            for i in isRemoved.count..<head.headers.count where !head.headers.fields[i].isRemoved {
                let name = text(head.headers.name(i))
                let replaced = removed.filter { $0.lowercased() == name.lowercased() }
                changes.append(replaced.isEmpty ? "added \(name)" : "set \(name)")
                removed.removeAll { $0.lowercased() == name.lowercased() }
            }
            return removed.map { "removed \($0)" } + changes
        }
    }
}

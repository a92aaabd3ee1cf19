/// Reads the transitions of a run in the order in which they happened, and says which of them break a rule. The specification says
/// more (Tests/Conformance); this is quick enough for thousands of runs.
struct TransitionRules {
    private struct Request {
        var isProbe = false
        var instance: Substring?
        var isOver = false
    }

    private var health: [Substring: Substring] = [:]
    private var breaker: Substring = "closed"
    private var probesMost: Int
    private var requests: [Substring: Request] = [:]
    private(set) var violations: [String] = []
    /// How often each event occurred; changes of state with what came of them.
    private(set) var seen: [Substring: Int] = [:]

    init(halfOpenMax: Int) { probesMost = halfOpenMax }

    /// Whole lines.
    mutating func read(_ text: String) {
        for line in text.split(separator: "\n") {
            let before = violations.count
            read(Self.members(of: line), line)
            if violations.count > before { violations[violations.count - 1] += ": \(line)" }
        }
    }

    /// Instances have failed and been retried, and the breaker has gone all the way round.
    func sawMuch(wanting event: Substring) -> Bool {
        ["FAILED", "open", "half_open", "closed", "retry", event].allSatisfy { seen[$0] != nil }
    }

    /// What is left when the run has ended.
    mutating func end() {
        for (name, request) in requests {
            violations.append(
                request.isOver ? "\(name) holds a place for ever at \(request.instance ?? "")" : "\(name) was never answered")
        }
    }

    private mutating func read(_ members: [Substring: Substring], _ line: Substring) {
        let event = members["event"] ?? ""
        seen[event, default: 0] += 1
        switch event {
        case "begin": begin(line)
        case "check": break
        case "evidence": break
        case "health":
            let instance = (members["instance"] ?? "")
            let to = (members["to"] ?? "")
            if health[instance] != (members["from"] ?? "") { violations.append("a change from what was not") }
            health[instance] = to
            seen[to, default: 0] += 1
        case "breaker":
            if breaker != (members["from"] ?? "") { violations.append("a change from what was not") }
            breaker = (members["to"] ?? "")
            seen[breaker, default: 0] += 1
            // Permits end with the state that gave them.
            for name in requests.keys { requests[name]?.isProbe = false }
        default: read(event, of: members["request"] ?? "", members)
        }
    }

    private mutating func read(_ event: Substring, of name: Substring, _ members: [Substring: Substring]) {
        if event == "accept" {
            if requests.updateValue(Request(), forKey: name) != nil { violations.append("accepted twice") }
            return
        }
        guard var request = requests[name] else { return violations.append("not under way") }
        switch event {
        case "admit":
            if (members["probe"] ?? "") == "true" {
                request.isProbe = true
                let probes = requests.values.count { $0.isProbe } + 1
                if probes > probesMost { violations.append("\(probes) probes at once") }
            } else if breaker != "closed" {
                violations.append("admitted while \(breaker)")
            }
        case "lease": request.instance = (members["instance"] ?? "")
        case "route":
            if health[request.instance ?? ""] == "FAILED" { violations.append("sent to an instance that has FAILED") }
            if breaker == "open" { violations.append("sent while the breaker is open") }
            if breaker == "half_open", !request.isProbe { violations.append("sent while half open, without a permit") }
        case "outcome", "refuse": request.isProbe = false
        case "release":
            if request.instance == nil { violations.append("a place given back twice") }
            request.instance = nil
        case "answer", "abort":
            if event == "answer", request.isOver { violations.append("answered twice") }
            request.isOver = true
            if event == "abort" { request.isProbe = false }
        case "queue", "retry": break
        default: violations.append("an unknown event")
        }
        requests[name] = request.isOver && request.instance == nil ? nil : request
    }

    private mutating func begin(_ line: Substring) {
        // The members of `instances` are the first ones with two texts behind a brace.
        guard let text = line.split(separator: "{").dropFirst().first?.split(separator: "}").first else { return }
        for pair in text.split(separator: ",") {
            let parts = pair.split(separator: "\"")
            if parts.count >= 3 { health[parts[0]] = parts[2] }
        }
    }

    /// Of an object without objects in it: texts, numbers and truth values by their names.
    private static func members(of line: Substring) -> [Substring: Substring] {
        var members: [Substring: Substring] = [:]
        // Every second piece stood in quotation marks.
        let pieces = line.split(separator: "\"", omittingEmptySubsequences: false)
        var i = 1
        while i + 1 < pieces.count {
            if pieces[i + 1] == ":", i + 2 < pieces.count {
                members[pieces[i]] = pieces[i + 2]
                i += 4
            } else {
                members[pieces[i]] = pieces[i + 1].dropFirst().prefix { $0 != "," && $0 != "}" }
                i += 2
            }
        }
        return members
    }
}

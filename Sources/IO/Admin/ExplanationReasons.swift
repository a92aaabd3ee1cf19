import HTTPMessages
import Primitives
import Proxy
import Routing

/// Why a route took a request or did not, in words.
struct ExplanationReasons {
    let rules: [RouteRule]
    let host: String
    let path: String
    let method: String

    /// `host api.example.com, path /users/{id}, method GET`
    func why(_ index: Int, host pattern: HostPattern?) -> String {
        let rule = rules[index]
        var parts: [String] = []
        switch pattern {
        case .exact(let name): parts.append("host \(String(decoding: name, as: UTF8.self))")
        case .wildcard(let suffix): parts.append("host *.\(String(decoding: suffix, as: UTF8.self))")
        case .any, nil: parts.append("any host")
        }
        parts.append(rule.path.isPrefix ? "path \(rule.path.text) (prefix)" : "path \(rule.path.text)")
        parts.append(rule.methods.isEmpty ? "any method" : "method \(method)")
        for match in rule.headers { parts.append("header \(match.name) \(Self.test(match))") }
        for match in rule.query { parts.append("query parameter \(match.name) \(Self.test(match))") }
        return parts.joined(separator: ", ")
    }

    func because(_ candidate: RouteCandidate) -> String {
        let rule = rules[candidate.route]
        return candidate.misfits.map { because($0, rule) }.joined(separator: "; ")
    }

    private func because(_ misfit: RouteMisfit, _ rule: RouteRule) -> String {
        switch misfit {
        case .host:
            let hosts = rule.hosts.map(Self.text).joined(separator: ", ")
            return host.isEmpty
                ? "the request has no host; the route is for \(hosts)"
                : "host \(host) is not \(rule.hosts.count > 1 ? "in " : "")\(hosts)"
        case .path: return "path \(path) does not fit \(rule.path.text)\(pathHint(rule.path))"
        case .method:
            if rule.methods.isEmpty { return "method \(method) is taken only by a route that names it" }
            return "method \(method) is not in \(rule.methods.joined(separator: ", "))"
        case .header(let match): return "header \(match.name) must be \(Self.wanted(match))"
        case .query(let match): return "query parameter \(match.name) must be \(Self.wanted(match))"
        }
    }

    /// What people trip over most.
    private func pathHint(_ pattern: PathPattern) -> String {
        let have = Self.segments(path)
        let want = Self.segments(pattern.text)
        if !pattern.isPrefix, Self.fits(have, want + [""]) || Self.fits(have + [""], want) {
            return " (a slash at the end makes another path)"
        }
        if path.lowercased() == pattern.text.lowercased() { return " (upper and lower case differ)" }
        return ""
    }

    private static func segments(_ path: String) -> [Substring] { path.split(separator: "/", omittingEmptySubsequences: false) }

    private static func fits(_ segments: [Substring], _ pattern: [Substring]) -> Bool {
        segments.count == pattern.count && zip(segments, pattern).allSatisfy { $1.hasPrefix("{") || $0 == $1 }
    }

    private static func wanted(_ match: ValueMatch) -> String {
        switch match.test {
        case .present: "present"
        case .absent: "absent"
        case .anyOf(let values):
            (values.count > 1 ? "one of " : "")
                + (MaskedValue.isSecret(match.name) ? "***" : values.map { "\"\($0)\"" }.joined(separator: ", "))
        }
    }

    private static func test(_ match: ValueMatch) -> String {
        switch match.test {
        case .present: "present"
        case .absent: "absent"
        case .anyOf(let values): MaskedValue.isSecret(match.name) ? "***" : values.map { "\"\($0)\"" }.joined(separator: " or ")
        }
    }

    private static func text(_ pattern: HostPattern) -> String {
        switch pattern {
        case .exact(let name): String(decoding: name, as: UTF8.self)
        case .wildcard(let suffix): "*.\(String(decoding: suffix, as: UTF8.self))"
        case .any: "*"
        }
    }
}

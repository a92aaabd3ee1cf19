import HTTPMessages
import Primitives

@testable import Routing

/// The rules of precedence written down a second time, as plainly as can be: look at every route, keep those that take the
/// request, sort. Shares no code with the table; works on the text of patterns and requests.
struct NaiveMatcher {
    struct Request {
        var method: String
        var host: String
        var path: String
        var query: [(String, String)] = []
        var fields: [(String, String)] = []
    }

    struct Route {
        var host: String  // "*", "*.b.c" or "a.b.c"
        var path: String
        var methods: [String]
        var headers: [ValueMatch]
        var query: [ValueMatch]
    }

    let routes: [Route]

    /// The routes that take the request, the winner first; and those that would but for the method.
    func answer(_ request: Request) -> (winners: [Int], methodMisses: [Int]) {
        var winners = [Int]()
        var misses = [Int]()
        for (i, route) in routes.enumerated() {
            guard hostFits(route.host, request.host), pathFits(route.path, request.path),
                route.headers.allSatisfy({ holds($0, request.fields) }), route.query.allSatisfy({ holds($0, request.query) })
            else { continue }
            if methodFits(route, request.method) { winners.append(i) } else { misses.append(i) }
        }
        winners.sort { a, b in
            let x = key(routes[a], request.method)
            let y = key(routes[b], request.method)
            return x.lexicographicallyPrecedes(y)
        }
        return (winners, misses)
    }

    func ties(_ a: Int, _ b: Int, _ request: Request) -> Bool {
        key(routes[a], request.method) == key(routes[b], request.method)
    }

    /// Smaller is more specific.
    private func key(_ route: Route, _ method: String) -> [Int] {
        let isPrefix = route.path.hasSuffix("/*")
        let segments = split(route.path)
        let literals = segments.filter { !$0.hasPrefix("{") }.count
        let hostKind = route.host == "*" ? 2 : route.host.hasPrefix("*.") ? 1 : 0
        let all = route.headers + route.query
        let named = route.methods.isEmpty ? 2 : method == "HEAD" && !route.methods.contains("HEAD") ? 1 : 0
        return [hostKind, hostKind == 1 ? -route.host.utf8.count : 0, isPrefix ? 1 : 0, -segments.count, -literals]
            + segments.map { $0.hasPrefix("{") ? 1 : 0 }
            + [-all.count, -all.filter { if case .anyOf = $0.test { true } else { false } }.count, named]
    }

    private func split(_ path: String) -> [String] {
        let body = path.hasSuffix("/*") ? String(path.dropLast(2)) : path
        return body.isEmpty ? [] : body.dropFirst().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    }

    private func hostFits(_ pattern: String, _ host: String) -> Bool {
        if pattern == "*" { return true }
        return pattern.hasPrefix("*.")
            ? host.hasSuffix(pattern.dropFirst()) && host.utf8.count > pattern.utf8.count - 1 : pattern == host
    }

    private func pathFits(_ pattern: String, _ path: String) -> Bool {
        let want = split(pattern)
        let have = split(path + "/*")
        guard pattern.hasSuffix("/*") ? have.count >= want.count : have.count == want.count else { return false }
        return zip(want, have).allSatisfy { $0.hasPrefix("{") ? !$1.isEmpty : $0 == $1 }
    }

    private func methodFits(_ route: Route, _ method: String) -> Bool {
        if route.methods.isEmpty { return ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"].contains(method) }
        return route.methods.contains(method) || (method == "HEAD" && route.methods.contains("GET"))
    }

    private func holds(_ match: ValueMatch, _ pairs: [(String, String)]) -> Bool {
        let values = pairs.filter { $0.0 == match.name }.map(\.1)
        return switch match.test {
        case .present: !values.isEmpty
        case .absent: values.isEmpty
        case .anyOf(let wanted): values.contains { wanted.contains($0) }
        }
    }
}

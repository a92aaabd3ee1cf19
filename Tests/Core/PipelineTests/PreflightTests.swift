import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Testing

/// The question that browsers ask before some requests (hardening 164, 165; Fetch standard, CORS-preflight fetch).
@Suite struct PreflightTests {
    private static let vary = "Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers"

    private func rules(
        _ origins: [String] = ["https://good.com"], methods: [String] = ["GET", "PUT"], headers: [String] = [],
        credentials: Bool = false, maxAge: Int? = nil
    ) throws -> CORSRules {
        try CORSRules(
            allowOrigins: origins, allowMethods: methods, allowHeaders: headers, exposeHeaders: ["X-Never-In-A-Preflight"],
            allowCredentials: credentials, maxAgeSeconds: maxAge)
    }

    private func preflight(_ origin: String = "https://good.com", method: String = "PUT", headers: [String] = []) -> RequestHead {
        var head = request("OPTIONS /x HTTP/1.1", "Host: a")
        add("Origin: \(origin)", to: &head.headers)
        add("Access-Control-Request-Method: \(method)", to: &head.headers)
        for value in headers { add("access-control-request-headers: \(value)", to: &head.headers) }
        return head
    }

    /// The fields of the answer, which is the same from `preflight` and from the chain; nil where the request goes on.
    private func answer(_ rules: CORSRules, _ head: consuming RequestHead) -> [String]? {
        var head = head
        let chain = Chain([.bodySize(limit: 1), .cors(rules)])
        let early = chain.preflight(head)
        var context = context()
        let outcome = chain.runRequest(from: 0, head: &head, context: &context)
        guard let early, case .answer(let late, let at) = outcome else {
            if early == nil, case .proceed = outcome { return nil }
            return ["the chain says another thing than the question before it"]
        }
        var response = ResponseHead()
        late.fill(&response)
        #expect(late.reason == "cors_preflight")
        #expect(at == 0)
        let lines = fieldLines(response)
        early.fill(&response)
        #expect(response.status == 204)
        #expect(fieldLines(response) == lines)
        // No stage of the response phase changes it, if one is asked after all.
        _ = chain.runResponse(from: chain.last, head: &response, request: head, context: &context)
        #expect(fieldLines(response) == lines)
        return lines
    }

    @Test func `a preflight of an allowed origin learns what the route takes`() throws {
        #expect(
            answer(try rules(headers: ["Content-Type", "X-A"], credentials: true, maxAge: 600), preflight(headers: ["x-a"])) == [
                Self.vary, "Access-Control-Allow-Origin: https://good.com", "Access-Control-Allow-Credentials: true",
                "Access-Control-Allow-Methods: GET, PUT", "Access-Control-Allow-Headers: Content-Type, X-A",
                "Access-Control-Max-Age: 600",
            ])
        #expect(
            answer(try rules(), preflight()) == [
                Self.vary, "Access-Control-Allow-Origin: https://good.com", "Access-Control-Allow-Methods: GET, PUT",
            ])
        #expect(
            answer(try rules(["*"], methods: [], maxAge: -1), preflight("null")) == [
                Self.vary, "Access-Control-Allow-Origin: *", "Access-Control-Max-Age: 0",
            ])
    }

    @Test(arguments: ["https://evil.com", "null", "http://good.com", "https://good.com:444", "https://good.com.evil", ""])
    func `another origin gets 204 without any field of CORS`(_ origin: String) throws {
        #expect(answer(try rules(headers: ["X-A"], maxAge: 600), preflight(origin, headers: ["x-a"])) == [Self.vary])
    }

    @Test func `a method that is not allowed finds itself missing in the list`() throws {
        let lines = answer(try rules(), preflight(method: "DELETE"))
        #expect(lines?.contains("Access-Control-Allow-Methods: GET, PUT") == true)
        #expect(
            answer(try rules(methods: ["*"]), preflight(method: "PURGE"))?.contains("Access-Control-Allow-Methods: *") == true)
    }

    @Test(arguments: [
        ([], true), (["x-a"], true), (["x-a,x-b"], true), (["X-B , x-A\t,"], true), (["x-a", "x-b"], true), ([""], true),
        (["x-c"], false), (["x-a,x-c"], false), (["x-a", "x-c"], false), (["x-a x-b"], false), (["x-aa"], false), (["x"], false),
        (["*"], false), (["x-a;x-b"], false), ([String(repeating: "x-a,", count: 100)], true),
        ([String(repeating: "x-a,", count: 101)], false),
    ])
    func `fields are allowed when all that are asked for are listed`(_ asked: [String], _ isAllowed: Bool) throws {
        let lines = answer(try rules(headers: ["X-A", "x-b"]), preflight(headers: asked))
        #expect(lines?.contains("Access-Control-Allow-Headers: X-A, x-b") == isAllowed)
        #expect(lines?.contains { $0.hasPrefix("Access-Control-Allow-Headers") } == isAllowed)
    }

    @Test(arguments: [
        (["*"], "x-anything, content-type", true), (["*"], "authorization", false), (["*"], "x-a, Authorization", false),
        (["*", "Authorization"], "x-a, authorization", true), (["*"], "a b", false), ([], "x-a", false), ([], "", false),
    ])
    func `an asterisk is any field but Authorization`(_ allowed: [String], _ asked: String, _ isAllowed: Bool) throws {
        let lines = answer(try rules(headers: allowed), preflight(headers: [asked]))
        #expect(lines?.contains("Access-Control-Allow-Headers: \(allowed.joined(separator: ", "))") == isAllowed)
    }

    @Test func `an OPTIONS that is no preflight goes on`() throws {
        let plain = request("OPTIONS / HTTP/1.1", "Host: a")
        #expect(answer(try rules(), plain) == nil)
        let sameSite = request("OPTIONS / HTTP/1.1", "Host: a", "Access-Control-Request-Method: PUT")
        #expect(answer(try rules(), sameSite) == nil)
        let withOrigin = request("OPTIONS / HTTP/1.1", "Host: a", "Origin: https://good.com")
        #expect(answer(try rules(), withOrigin) == nil)
        for method in ["", "a b", "PUT,GET"] { #expect(answer(try rules(), preflight(method: method)) == nil) }
        let post = request("POST / HTTP/1.1", "Host: a", "Origin: https://good.com", "Access-Control-Request-Method: PUT")
        #expect(answer(try rules(), post) == nil)
    }

    @Test func `a chain without cors answers no preflight`() {
        let chain = Chain([.bodySize(limit: 10)])
        let head = preflight()
        let answer = chain.preflight(head)
        #expect(answer == nil)
    }

    @Test func `a preflight is answered whatever stages are listed before`() throws {
        let denied = IPAccessRules(deny: blocks("0.0.0.0/0"))
        let chain = Chain([.ipAccess(denied), .bodySize(limit: 1), .cors(try rules())])
        let head = preflight()
        let answer = chain.preflight(head)
        #expect(answer?.status == 204)
    }
}

import HTTPMessages
import Primitives
import Testing
import WebSocket

/// Hardening 107; RFC 6455 §10.2.
@Suite struct OriginRuleTests {
    private func isAdmitted(
        _ origin: String?, by rule: OriginRule, host: String = "api.example.com", scheme: Scheme = .https
    ) -> Bool {
        let head = request(["GET / HTTP/1.1", "Host: \(host)"] + (origin.map { ["Origin: \($0)"] } ?? []))
        return rule.admits(head, scheme: scheme)
    }

    @Test(arguments: [
        ("https://good.com", true), ("HTTPS://GOOD.com", true), ("https://a.example.com", true),
        ("https://a.b.example.com", true),
        ("https://evil.com", false), ("https://good.com.evil.com", false), ("https://evilgood.com", false), ("null", false),
        ("", false), ("http://good.com", false), ("https://good.com:444", false), ("https://example.com", false),
        ("https://evil.com/.example.com", false), ("https://aexample.com", false), ("good.com", false),
        ("https://api.example.com.evil.com", false), ("https://good.com, https://evil.com", false),
    ])
    func `a list admits the pages on it and no others`(_ origin: String, _ isIn: Bool) throws {
        let rule = try OriginRule(["https://good.com", "https://*.example.com"])
        #expect(isAdmitted(origin, by: rule, host: "elsewhere.test") == isIn)
    }

    @Test func `with a list, the route's own host is another one`() throws {
        #expect(try !isAdmitted("https://api.example.com", by: OriginRule(["https://good.com"])))
    }

    @Test func `an asterisk admits every page, null only where it is listed`() throws {
        #expect(try isAdmitted("https://evil.com", by: OriginRule(["*"])))
        #expect(try isAdmitted("null", by: OriginRule(["*"])))
        #expect(try isAdmitted("null", by: OriginRule(["null"])))
        #expect(try !isAdmitted("null", by: OriginRule(["https://good.com"])))
        #expect(!isAdmitted("null", by: .sameOrigin))
    }

    @Test func `a program that sends no Origin is admitted`() throws {
        #expect(isAdmitted(nil, by: .sameOrigin))
        #expect(try isAdmitted(nil, by: OriginRule(["https://good.com"])))
    }

    @Test(arguments: [
        ("https://api.example.com", "api.example.com", Scheme.https, true),
        ("HTTPS://API.example.com", "api.example.com", .https, true),
        ("https://api.example.com:443", "api.example.com", .https, true),
        ("https://api.example.com", "api.example.com:443", .https, true),
        ("https://api.example.com:8443", "api.example.com:8443", .https, true),
        ("http://api.example.com:8080", "api.example.com:8080", .http, true),
        ("http://api.example.com", "api.example.com:80", .http, true),
        ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080", .http, true),
        // Something in front has taken the encryption off.
        ("https://api.example.com", "api.example.com", .http, true),
        ("https://api.example.com:8443", "api.example.com:8443", .http, true),
        // A page that anybody on the wire can make.
        ("http://api.example.com", "api.example.com", .https, false),
        ("https://api.example.com:8443", "api.example.com", .https, false),
        ("https://api.example.com", "api.example.com:8443", .https, false),
        ("https://api.example.com", "api.example.com:80", .http, false),
        ("https://evil.com", "api.example.com", .https, false),
        ("https://api.example.com.evil.com", "api.example.com", .https, false),
        ("https://evil.com.api.example.com", "api.example.com", .https, false),
        ("https://example.com", "api.example.com", .https, false),
        ("https://api.example.com@evil.com", "api.example.com", .https, false),
        ("https://u@api.example.com", "api.example.com", .https, false),
        ("https://api.example.com/", "api.example.com", .https, false),
        ("https://api.example.com:", "api.example.com", .https, false),
        ("https://api.example.com:0443", "api.example.com", .https, false),
        ("https://api.example.com:65979", "api.example.com", .https, false),
        ("https://api.example.com:99999999999999999999", "api.example.com", .https, false),
        ("https://", "api.example.com", .https, false), ("http://", "api.example.com", .http, false),
        ("ftp://api.example.com", "api.example.com", .http, false), ("api.example.com", "api.example.com", .https, false),
        ("", "api.example.com", .https, false),
    ])
    func `without a list, a page of the same host and port is admitted`(
        _ origin: String, _ host: String, _ scheme: Scheme, _ isIn: Bool
    ) throws {
        #expect(isAdmitted(origin, by: .sameOrigin, host: host, scheme: scheme) == isIn)
        #expect(try isAdmitted(origin, by: OriginRule([]), host: host, scheme: scheme) == isIn)
    }

    @Test func `a request without a host has no page of its own`() {
        let head = request(["GET / HTTP/1.0", "Origin: https://"])
        #expect(OriginRule.sameOrigin.admits(head, scheme: .http) == false)
    }

    @Test func `a second Origin is refused`() {
        var head = request(["GET / HTTP/1.1", "Host: a", "Origin: https://a"])
        #expect(OriginRule.sameOrigin.admits(head, scheme: .https) == true)
        head.headers.add(.origin, value: bytes("https://a").span.bytes)
        #expect(OriginRule.sameOrigin.admits(head, scheme: .https) == false)
    }

    @Test func `Origin is read also where it has been removed from what is forwarded`() {
        var head = request(["GET / HTTP/1.1", "Host: a", "Origin: https://evil.com"])
        head.headers.removeAll(.origin)
        #expect(OriginRule.sameOrigin.admits(head, scheme: .https) == false)
    }

    @Test(arguments: ["good.com", "https://good.com/", "https://*", "", "https://a.*.com", "NULL"])
    func `what no browser sends cannot be listed`(_ origin: String) {
        #expect(throws: InvalidOrigin(text: origin)) { try OriginRule(["https://ok.test", origin]) }
    }
}

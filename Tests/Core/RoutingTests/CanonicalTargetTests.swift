import HTTPMessages
import Primitives
import Testing

@testable import Routing

/// Target forms and hosts: items 25, 54, 55, 60, 62.
struct CanonicalTargetTests {
    private func fault(
        _ method: String, _ target: String, host: String? = "example.com", policy: TargetPolicy = TargetPolicy()
    ) -> TargetFault? {
        var head = makeHead(method, target, host: host)
        return CanonicalTarget.resolve(&head, policy: policy)
    }

    @Test(arguments: [
        ("GET", "foo"), ("GET", "?x"), ("GET", "http:/x"), ("GET", "http:x"), ("GET", "*"), ("OPTIONS", "*x"), ("POST", "*"),
        ("GET", "example.com:80"), ("GET", "://x/"), ("GET", "1http://x/"), ("GET", ""), ("GET", "ht tp://x/"),
    ])
    func `a target in a form that its method does not allow is refused with 400`(method: String, target: String) {
        let found = fault(method, target)
        #expect(found == .unknownForm)
        #expect(found?.status == 400 && found?.closesConnection == true)
    }

    @Test(arguments: ["example.com:443", "/", "*", "http://example.com/"])
    func `CONNECT is refused with 405 whatever its target`(target: String) {
        #expect(fault("CONNECT", target) == .connectNotAllowed)
        #expect(TargetFault.connectNotAllowed.status == 405 && TargetFault.connectNotAllowed.closesConnection)
    }

    @Test func `TRACE is refused with 405`() {
        #expect(fault("TRACE", "/") == .traceNotAllowed)
        #expect(TargetFault.traceNotAllowed.status == 405)
    }

    @Test func `OPTIONS takes an asterisk and no route takes it`() throws {
        var head = makeHead("OPTIONS", "*")
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(head.pathText == "*")
        let table = try RouteTable([RouteRule(name: "all", path: PathPattern("/*"))], seed: 1)
        #expect(table.match(head) == .noRoute)
    }

    @Test(arguments: [
        ("http://evil/", "good", TargetFault.hostMismatch),
        ("http://good:81/", "good", .hostMismatch),
        ("https://good/", "good", .schemeMismatch),
        ("ftp://good/", "good", .schemeMismatch),
        ("http://user@good/", "good", .userinfo),
        ("http://user:secret@good/", "good", .userinfo),
        ("http://u:1@good/", "good", .userinfo),
        ("http://good:80@evil/", "good", .userinfo),
        ("http:///x", "good", .emptyHost),
        ("http://", "good", .unknownForm),
        ("http://:80/", "good", .emptyHost),
        ("http://?x", "good", .emptyHost),
        ("http://good#f", "good", .fragment),
        ("http://good/#f", "good", .fragment),
        ("http://good?a#f", "good", .fragment),
        ("http://good\\@evil/", "good", .backslash),
        ("http://good,evil/", "good", .invalidHost),
        ("http://good/../", "good", .aboveRoot),
    ])
    func `an absolute target that another reader could take for another host is refused`(
        target: String, host: String, expected: TargetFault
    ) {
        let found = fault("GET", target, host: host)
        // "http://" has nothing behind it: either answer is a refusal.
        #expect(found == expected || (target == "http://" && found == .emptyHost), "\(target)")
    }

    @Test(
        arguments: [
            ("http://Good/x?y", "good", "good", 0, "/x", "y"),
            ("HTTP://good", "GOOD.", "good", 0, "/", nil),
            ("http://good:80/a", "good", "good", 80, "/a", nil),
            ("http://good?q=1", nil, "good", 0, "/", "q=1"),
            ("http://[2001:DB8::1]:8080/a", "[2001:db8::1]:8080", "[2001:db8::1]", 8080, "/a", nil),
        ] as [(String, String?, String, Int, String, String?)])
    func `an absolute target gives host, port, path and query`(
        target: String, host: String?, expectedHost: String, port: Int, path: String, query: String?
    ) {
        var head = makeHead("GET", target, host: host)
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(head.hostText == expectedHost)
        #expect(Int(head.port) == port)
        #expect(head.pathText == path)
        #expect(head.queryText == query)
    }

    @Test func `an absolute target without a path is an asterisk for OPTIONS`() {
        var head = makeHead("OPTIONS", "http://example.com")
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(head.pathText == "*")
    }

    @Test func `an https listener takes https targets alone`() {
        let policy = TargetPolicy(scheme: .https)
        #expect(fault("GET", "https://example.com:443/", policy: policy) == nil)
        #expect(fault("GET", "http://example.com/", policy: policy) == .schemeMismatch)
    }

    @Test(arguments: [
        ("", TargetFault.emptyHost), (".", .emptyHost), (":80", .emptyHost), ("a,b", .invalidHost), ("a b", .invalidHost),
        ("a/b", .invalidHost), ("a@b", .userinfo), ("a:1@b", .userinfo), ("[::1", .invalidHost), ("[::1]x", .invalidHost),
        ("[::1]:x", .invalidPort), ("[1.2.3.4]", .invalidHost), ("[fe80::1%25eth0]", .invalidHost), ("[v1.x]", .invalidHost),
        ("a:99999", .invalidPort), ("a:65536", .invalidPort), ("a:0", .invalidPort), ("a:1x", .invalidPort),
        ("a:-1", .invalidPort), ("a:000080", .invalidPort), ("a..b", .invalidHost), (".a", .emptyHost), ("a..", .invalidHost),
        ("a:80:80", .invalidPort), ("1.2.3", .invalidHost), ("127.1", .invalidHost), ("256.1.1.1", .invalidHost),
        ("1.2.3.04", .invalidHost), ("a%41", .invalidHost), ("caf\u{e9}", .invalidHost), ("a#b", .invalidHost),
        ("a?b", .invalidHost), ("a\\b", .invalidHost), ("a\u{0}", .invalidHost),
        (String(repeating: "a", count: 64), .invalidHost),
        (String(repeating: "a.", count: 127), .invalidHost),
    ])
    func `a Host that is no name and no address is refused`(host: String, expected: TargetFault) {
        let found = fault("GET", "/", host: host)
        #expect(found == expected || (host == String(repeating: "a.", count: 127) && found == nil), "\(host)")
    }

    @Test func `a host of 253 bytes passes and one of 254 does not`() {
        let longest = String(repeating: "a.", count: 126) + "a"
        #expect(fault("GET", "/", host: longest) == nil)
        #expect(fault("GET", "/", host: longest + ".") == nil)
        #expect(fault("GET", "/", host: longest + "a") == .invalidHost)
    }

    @Test(arguments: [
        ("example.com", "example.com", 0), ("EXAMPLE.Com", "example.com", 0), ("example.com.", "example.com", 0),
        ("Example.COM.:8080", "example.com", 8080), ("a:", "a", 0), ("10.0.0.1:81", "10.0.0.1", 81), ("[::1]", "[::1]", 0),
        ("[2001:DB8::A]:443", "[2001:db8::a]", 443), ("a_b-c.d", "a_b-c.d", 0), ("v1.2.example", "v1.2.example", 0),
        ("a:00080", "a", 80), ("host1", "host1", 0),
    ])
    func `a Host comes out in lower case, without its trailing dot, the port apart`(
        host: String, expected: String, port: Int
    ) {
        var head = makeHead("GET", "/", host: host)
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(head.hostText == expected)
        #expect(Int(head.port) == port)
    }

    @Test func `a request without a Host field has an empty host`() {
        var head = makeHead("GET", "/", host: nil)
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(head.hostText == "")
    }

    @Test func `what is canonical as received is not copied`() {
        var head = makeHead("GET", "/api/v1/users;a=1/~x?next=/../%zz", host: "example.com")
        let before = head.headers.storage.count
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(head.headers.storage.count == before)
        #expect(head.pathText == "/api/v1/users;a=1/~x")
        #expect(head.queryText == "next=/../%zz")
    }

    @Test func `a query is kept byte for byte and an empty one is there`() {
        for (target, query) in [("/a", nil), ("/a?", ""), ("/a?b?c", "b?c"), ("/%41?%41%2f\\[]", "%41%2f\\[]")]
            as [(String, String?)]
        {
            var head = makeHead("GET", target)
            #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
            #expect(head.queryText == query)
        }
    }

    @Test func `a query with a byte that is not visible ASCII is refused`() {
        for byte in UInt8.min...UInt8.max {
            var head = makeHead("GET", Array("/a?b".utf8) + [byte])
            let found = CanonicalTarget.resolve(&head, policy: TargetPolicy())
            let isVisible = byte > 0x20 && byte < 0x7f
            #expect(found == (byte == UInt8(ascii: "#") ? .fragment : isVisible ? nil : .invalidByte), "\(byte)")
        }
    }

    @Test(arguments: ["/a#b", "/#", "/%41#"])
    func `a fragment is refused`(target: String) {
        #expect(fault("GET", target) == .fragment)
    }

    @Test func `a reused head forgets the encoded slash of the request before`() {
        var head = makeHead("GET", "/a%2Fb")
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(head.hasEncodedSlash == true)
        head.clear()
        #expect(head.hasEncodedSlash == false)
    }
}

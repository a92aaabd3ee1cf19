import HTTPMessages
import Primitives
import Testing

@testable import Telemetry

@Suite struct SecretScanTests {
    private func line(
        _ fields: [(String, String)], path: String = "/p", query: String = "", _ rules: AccessLogRules, _ format: AccessLogFormat
    ) -> String {
        var head = RequestHead()
        head.headers.storage.append("GET ")
        head.methodRange = 0..<3
        head.headers.storage.append(path)
        head.headers.storage.append(query)
        head.targetRange = 4..<4 + path.utf8.count
        head.path = head.targetRange
        head.query = head.path.upperBound..<head.path.upperBound + query.utf8.count
        for (name, value) in fields {
            let name = Array(name.utf8)
            let value = Array(value.utf8)
            head.headers.add(FieldID(lowercasing: name.span.bytes), name: name.span.bytes, value: value.span.bytes)
        }
        var store = MetricsStore(workers: 1)
        let labels = store.adopt(.init(), generation: 1, at: Instant(nanoseconds: 0))
        var buffer = ByteBuffer(capacity: 16)
        var clock = SecondText()
        let id = Array("id".utf8)
        AccessLogLine.append(
            AccessRecord(time: Timestamp(seconds: 0), status: 200, reason: .ok), head, requestID: id.span.bytes, labels: labels,
            format: format, rules: rules, clock: &clock, into: &buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    private func shown(_ text: String, _ kind: SecretScan.Kind, limit: Int = 4096, redact: [String] = []) -> String {
        let bytes = Array(text.utf8)
        var buffer = ByteBuffer(capacity: 16)
        buffer.withFreeSpace(max(1, bytes.count * JSONText.growthMax)) { free in
            var cursor = TextCursor(free)
            cursor.write(
                masked: bytes.span.bytes, limit: limit, kind, .combined, AccessLogRules(requestHeaders: [], redact: redact))
            return cursor.count
        }
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    /// Hardening 185.
    @Test(arguments: [
        ("/fix;token=CANARY", "/fix;token=***"), ("/x/token=CANARY/y", "/x/token=***/y"),
        ("/a;b=1;jsessionid=CANARY;c=2/d", "/a;b=1;jsessionid=***;c=2/d"), ("/x/%74oken=CANARY", "/x/%74oken=***"),
        ("/x/token%3DCANARY", "/x/token%3D***"), ("/x%3Btoken=CANARY", "/x%3Btoken=***"),
        ("/to/http://u:CANARY@h/", "/to/http://***@h/"), ("/to/http:/u:CANARY@h/", "/to/http:/***@h/"),
        ("/a=1/token=CANARY", "/a=1/token=***"), ("/q/{\"password\":\"CANARY\"}/x", "/q/{\\\"password\\\":\\\"***\\\"}/x"),
        ("/a;token=x%2FCANARY", "/a;token=***"), ("/Bearer%20CANARY", "/Bearer%20***"),
    ])
    func `secrets of a path are masked`(path: String, expected: String) {
        #expect(shown(path, .path) == expected)
        for format in [AccessLogFormat.json, .combined] {
            #expect(!line([], path: path, AccessLogRules(), format).contains("CANARY"))
        }
    }

    @Test(arguments: [
        "/", "/api/v1/users/42", "/v1/keys:list", "/a;b=c/d;e", "/@scope/pkg:1.2@sha256:ab", "/token/x", "/author=bob/%zz%",
        "/x=/token=", "/a//b:c", "/:", "/basic/dist", "/%2525", "/authority=a",
    ])
    func `other paths stay as they are`(path: String) {
        #expect(shown(path, .path) == path)
    }

    /// Hardening 185.
    @Test(arguments: [
        ("token%3DCANARY", "token%3D***"), ("x=1%26token=CANARY", "x=1%26token=***"), ("%2574oken=CANARY", "%2574oken=***"),
        ("tok%00en=CANARY", "tok%00en=***"), ("tok+en=CANARY", "tok+en=***"), ("tok%20en=CANARY", "tok%20en=***"),
        ("token;=CANARY", "token;=***"), ("token[]=CANARY&a=1", "token[]=***&a=1"), ("token[0]=CANARY", "token[0]=***"),
        ("redirect=http%3A%2F%2Fx%2F%3Ftoken%3DCANARY%26b%3D1&c=2", "redirect=http%3A%2F%2Fx%2F%3Ftoken%3D***%26b%3D1&c=2"),
        ("redirect=http%253A%252F%252Fx%252F%253Ftoken%253DCANARY", "redirect=http%253A%252F%252Fx%252F%253Ftoken%253D***"),
        ("redirect=http://u:CANARY@h/", "redirect=http://***@h/"),
        ("redirect=http%3A%2F%2Fu%3ACANARY%40h%2F&a=1", "redirect=http%3A%2F%2F***%40h%2F&a=1"),
        ("redirect=http://u:p%2FCANARY@h/", "redirect=http://***@h/"), ("to=u:CANARY@h&x=1", "to=***@h&x=1"),
        ("to=//u:CANARY@h", "to=//***@h"), ("a=1&b=u%3ACANARY%40h", "a=1&b=***%40h"),
        ("q={\"password\":\"CANARY\"}", "q={\\\"password\\\":\\\"***\\\"}"),
        ("q=%7B%22a%22%3A1%2C%22password%22%3A%22CANARY%22%7D&b=1", "q=%7B%22a%22%3A1%2C%22password%22%3A%22***%22%7D&b=1"),
        ("q={\"token\":[\"a\",\"CANARY\"]}", "q={\\\"token\\\":***"),
        ("q={\"token\":12CANARY,\"a\":1}", "q={\\\"token\\\":***,\\\"a\\\":1}"),
        ("q={\"key\":\"a\\\"CANARY\"}", "q={\\\"key\\\":\\\"***\\\"}"), ("password=ab%26CANARY&c=d", "password=***&c=d"),
        ("x=Bearer+CANARY&b=1", "x=Bearer+***&b=1"), ("x=Bearer%20CANARY", "x=Bearer%20***"),
        ("x=Digest+response=CANARY", "x=Digest+***"), ("q=password:CANARY&b=c", "q=password:***&b=c"),
        ("bearer=CANARY", "bearer=***"),
        ("token=a?CANARY", "token=***"), ("a=token=CANARY", "a=token=***"), ("a%3Btoken=CANARY", "a%3Btoken=***"),
        ("a%23token%3DCANARY", "a%23token%3D***"), ("a%3Ftoken%3DCANARY", "a%3Ftoken%3D***"),
        ("my,tok%20en=CANARY", "my,tok%20en=***"),
        ("q=a,token:CANARY", "q=a,token:***"), ("t%6F%6ben=CANARY", "t%6F%6ben=***"), ("%%37%34oken=CANARY", "%%37%34oken=***"),
    ])
    func `secrets of a query are masked`(query: String, expected: String) {
        #expect(shown(query, .query) == expected)
        #expect(shown("https://e.com/a?" + query, .address) == "https://e.com/a?" + expected)
        let rules = AccessLogRules(requestHeaders: ["x-foo"], redact: [])
        for format in [AccessLogFormat.json, .combined] {
            #expect(
                !line([("Referer", "/?" + query), ("X-Foo", "/?" + query)], query: query, rules, format).contains("CANARY"))
        }
    }

    @Test(arguments: [
        "page=2&sort=name:asc", "data=aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8=", "a=b@c",
        "email=bob@example.com&x=1", "author=bob", "t=12:30&email=a@b.c", "q=a%26b",
        "redirect=https%3A%2F%2Fexample.com%2Fa%3Fb%3Dc",
        "%", "%2", "%25", "a=%zz", "=", "==", ":", "q=basic", "q=Bearer", "digest=sha256", "u=http://h/a@b",
    ])
    func `other queries stay as they are`(query: String) {
        #expect(shown(query, .query) == query)
    }

    /// Hardening 185.
    @Test(arguments: [
        ("token: CANARY", "token: ***"), ("x token=CANARY", "x token=***"),
        ("Authorization: Bearer CANARY", "Authorization: ***"),
        ("bearer\tCANARY", "bearer\\x09***"), ("{\"password\":\"CANARY\"}", "{\\\"password\\\":\\\"***\\\"}"),
        ("password = CANARY", "password = ***"), ("%74oken=CANARY", "%74oken=***"), ("Bearer%20CANARY", "Bearer%20***"),
        ("bearer=CANARY", "bearer=***"), ("Digest response=CANARY", "Digest ***"),
        ("Digest username=\"u\", response=\"CANARY\"", "Digest ***"), ("x-my-key: a CANARY, b", "x-my-key: ***, b"),
        ("a=Bearer CANARY b", "a=Bearer *** b"), ("token=Bearer CANARY b", "token=*** b"), ("tok%00en=CANARY", "tok%00en=***"),
        ("{'api_key' : 'CANARY'}", "{'api_key' : '***'}"), ("BASIC CANARY", "BASIC ***"), ("go u:CANARY@h", "go ***@h"),
        ("Mozilla/5.0 (token CANARY; token=CANARY)", "Mozilla/5.0 (token CANARY; token=***"),
        ("a%3Btoken=CANARY", "a%3Btoken=***"),
    ])
    func `secrets of a user agent and of shown fields are masked`(text: String, expected: String) {
        #expect(shown(text, .text) == expected)
        guard !expected.contains("CANARY") else { return }
        for format in [AccessLogFormat.json, .combined] {
            #expect(
                !line([("User-Agent", text), ("X-Foo", text)], AccessLogRules(requestHeaders: ["x-foo"], redact: []), format)
                    .contains("CANARY"))
        }
    }

    @Test(arguments: [
        "curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Baiduspider", "the basics",
        "Digest fetcher/1",
        "\"Not=A?Brand\";v=\"8\"", "max-age=0", "for=192.0.2.1;proto=https", "text/html;q=0.9", "13:05:10", "[2001:db8::1]:443",
    ])
    func `other user agents and fields stay as they are`(text: String) {
        #expect(shown(text, .text) == text.replacing("\"", with: "\\\""))
    }

    @Test func `a listed name is masked in paths, user agents and nested queries`() {
        #expect(shown("/a;ssn=1;ssns=2", .path, redact: ["SSN"]) == "/a;ssn=***;ssns=2")
        #expect(shown("x SSN=1", .text, redact: ["SSN"]) == "x SSN=***")
        #expect(shown("r=%3Fid%3D1&i=2&xid=3", .query, redact: ["id"]) == "r=%3Fid%3D***&i=2&xid=3")
        #expect(shown("x:y=1", .query, redact: ["y"]) == "x:y=***")
    }

    @Test func `a secret that the cut goes through shows no part of itself`() {
        for kind in [SecretScan.Kind.path, .query, .text, .address] {
            let text = "/a;b=1;token=CANARY"
            for limit in 0...text.utf8.count { #expect(!shown(text, kind, limit: limit).contains("C")) }
        }
        let long = "http://" + String(repeating: "u", count: 5000) + ":CANARY@h/"
        #expect(shown(long, .address, limit: 100) == "http://***")
        #expect(shown("a=" + long, .query, limit: 100) == "a=http://***")
    }

    @Test func `a text of any length and shape costs no more than its length, in every place`() {
        let shapes = [
            "@", "a@", ":@", "=", "a=", "token=", "token;=", "'=", "://", ":%2F%2F", "basic ", "digest ", "bearer+", "cookie:",
            "\"a\":",
            "?&", "x", "%25", "%", "%2525", "a:b=", "a,b:", "=a:", "%3Da:", "&a%3Ab=", "{\"key\":", "/a:", "%2561", "%2%35",
        ]
        for shape in shapes {
            let text = Array(String(repeating: shape, count: 60_000 / shape.utf8.count).utf8) + Array("@".utf8)
            for kind in [SecretScan.Kind.own, .text, .path, .query, .address] {
                var scan = SecretScan(text.span.bytes, kind)
                let start = ContinuousClock.now
                while scan.next(before: text.count, AccessLogRules()) != nil {}
                #expect(start.duration(to: .now) < .seconds(2), "\(shape) \(kind)")
            }
        }
    }

    @Test func `a text that is passed over without a scan holds nothing that the scan finds`() {
        let parts = [
            "token", "key", "a", "bb", "Bearer", "basic", "digest", "x1", "=", "=", ":", "&", ";", "?", "#", "/", "//", "://",
            " ", ",", "+",
            "[", "\"", "{", "@", "%3d", "-", ".", "(", ")", "\t", "é",
        ]
        var random = RandomSource(seed: 185)
        var passed = 0
        for _ in 0..<60_000 {
            let text = (0..<Int.random(in: 1..<12, using: &random)).map { _ in
                parts[Int.random(in: 0..<parts.count, using: &random)]
            }.joined()
            let bytes = Array(text.utf8)
            for kind in [SecretScan.Kind.text, .path, .query, .address] {
                let isNeeded = SecretScan.isNeeded(
                    bytes.span.bytes, Scan.log(bytes.span.bytes), limit: 999, kind, AccessLogRules())
                guard !isNeeded else { continue }
                passed += 1
                var scan = SecretScan(bytes.span.bytes, kind)
                #expect(scan.next(before: bytes.count, AccessLogRules()) == nil, "\(text) as \(kind)")
            }
        }
        #expect(passed > 20_000)
    }

    @Test func `names are secrets by a word in them, in any case`() {
        for name in ["X-Upstream-Auth", "AUTHORIZATION", "authorisation", "monkey", "SID", "Otp", "credentials", "bearerToken"] {
            #expect(SecretNames.holdsWord(name), "\(name)")
        }
        for name in ["author", "Authority", "name", "side", "otps", "", "to_ken"] {
            #expect(!SecretNames.holdsWord(name), "\(name)")
        }
        #expect(SecretNames.isWhole("Set-Cookie") && !SecretNames.isWhole("cookies") && !SecretNames.isWhole(""))
    }
}

import HTTPMessages
import Primitives
import Testing

@testable import Telemetry

@Suite struct AccessLogLineTests {
    /// The texts of a request.
    struct Texts {
        var requestID = "0190-abcd"
        var method: [UInt8] = Array("GET".utf8)
        var host: [UInt8] = Array("api.example.com".utf8)
        var path: [UInt8] = Array("/api/v1/users/42".utf8)
        var query: [UInt8] = []
        var userAgent: [UInt8] = Array("curl/8".utf8)
        var referer: [UInt8] = []

        static var fields: [WritableKeyPath<Texts, [UInt8]>] { [\.method, \.host, \.path, \.query, \.userAgent, \.referer] }
    }

    /// The texts of a connection that is encrypted, or is not.
    struct Encryption {
        var version: StaticString = ""
        var cipher: [UInt8] = []
        var serverName: [UInt8] = []
        var subject: [UInt8] = []
        var fingerprint: [UInt8] = []

        static var fields: [WritableKeyPath<Encryption, [UInt8]>] { [\.cipher, \.serverName, \.subject, \.fingerprint] }

        static var full: Encryption {
            Encryption(
                version: "TLSv1.3", cipher: Array("TLS_AES_128_GCM_SHA256".utf8), serverName: Array("api.example.com".utf8),
                subject: Array("CN=client,O=A".utf8), fingerprint: Array("0123abcd".utf8))
        }
    }

    private func labels() -> MetricsLabels {
        var store = MetricsStore(workers: 1)
        return store.adopt(
            .init(
                listeners: ["web"], routes: ["users"], services: ["users \"v1\""],
                instances: [(service: 0, name: "http://10.0.0.5:8080")]),
            generation: 7, at: Instant(nanoseconds: 0))
    }

    private func record(_ labels: MetricsLabels) -> AccessRecord {
        var record = AccessRecord(time: Timestamp(nanoseconds: 1_782_909_296_789_012_345), status: 200, reason: .ok)
        record.listener = labels.listeners[0]
        record.client = IPAddress("203.0.113.7")
        record.clientPort = 51234
        record.peer = IPAddress("2001:db8::1")
        record.route = labels.routes[0]
        record.service = labels.services[0]
        record.instance = labels.instances[0]
        record.upstreamStatus = 200
        record.bytesIn = 321
        record.bytesOut = 4567
        record.duration = TimeAmount(nanoseconds: 12_345_678)
        record.overhead = TimeAmount(nanoseconds: 98_765)
        record.firstByte = TimeAmount(nanoseconds: 11_000_000)
        record.upstream = TimeAmount(nanoseconds: 12_000_000)
        record.connect = TimeAmount(nanoseconds: 450_000)
        record.attempts = 1
        return record
    }

    private func line(
        _ record: AccessRecord, _ texts: Texts, _ labels: MetricsLabels, _ format: AccessLogFormat = .json,
        tls: Encryption = Encryption()
    ) -> String {
        var buffer = ByteBuffer(capacity: 16)
        let requestID = Array(texts.requestID.utf8)
        let text = AccessText(
            requestID: requestID.span.bytes, method: texts.method.span.bytes, host: texts.host.span.bytes,
            path: texts.path.span.bytes, query: texts.query.span.bytes, userAgent: texts.userAgent.span.bytes,
            referer: texts.referer.span.bytes)
        let encryption = AccessTLS(
            version: tls.version, cipher: tls.cipher.span.bytes, serverName: tls.serverName.span.bytes,
            clientSubject: tls.subject.span.bytes, clientFingerprint: tls.fingerprint.span.bytes)
        AccessLogLine.append(record, text, tls: encryption, labels: labels, format: format, into: &buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    private func parsed(_ line: String) throws -> JSONNode {
        #expect(line.utf8.last == ASCII.lf)
        #expect(line.utf8.filter { $0 < 0x20 || $0 == 0x7f }.count == 1, "one control byte, the line end")
        return try StrictJSON.parse(line)
    }

    @Test func `a proxied request is one line with all its figures`() {
        let labels = labels()
        var texts = Texts()
        texts.query = Array("page=2".utf8)
        texts.referer = Array("https://example.com/".utf8)
        #expect(
            line(record(labels), texts, labels)
                == #"{"time":"2026-07-01T12:34:56.789012Z","level":"info","type":"access","request_id":"0190-abcd","#
                + #""listener":"web","client_ip":"203.0.113.7","client_port":51234,"peer_ip":"2001:db8::1","http_version":"1.1","#
                + #""method":"GET","scheme":"http","host":"api.example.com","path":"/api/v1/users/42","query":"page=2","#
                + #""route":"users","service":"users \"v1\"","instance":"http://10.0.0.5:8080","status":200,"#
                + #""upstream_status":200,"reason":"ok","bytes_in":321,"bytes_out":4567,"duration_ms":12.345,"#
                + #""overhead_ms":0.098,"ttfb_ms":11.000,"upstream_ms":12.000,"connect_ms":0.450,"queue_ms":null,"attempts":1,"#
                + #""user_agent":"curl/8","referer":"https://example.com/","config_generation":7}"# + "\n")
    }

    @Test func `a request that was never understood has null for what is not known, and all keys`() throws {
        let labels = labels()
        var texts = Texts()
        for field in Texts.fields { texts[keyPath: field] = [] }
        texts.requestID = ""
        let record = AccessRecord(time: Timestamp(nanoseconds: 0), status: 503, reason: .overload)
        #expect(
            line(record, texts, labels)
                == #"{"time":"1970-01-01T00:00:00.000000Z","level":"error","type":"access","request_id":null,"listener":null,"#
                + #""client_ip":null,"client_port":null,"peer_ip":null,"http_version":null,"method":null,"scheme":"http","#
                + #""host":null,"path":null,"query":null,"route":null,"service":null,"instance":null,"status":503,"#
                + #""upstream_status":null,"reason":"overload","bytes_in":0,"bytes_out":0,"duration_ms":0.000,"#
                + #""overhead_ms":0.000,"ttfb_ms":null,"upstream_ms":null,"connect_ms":null,"queue_ms":null,"attempts":0,"#
                + #""user_agent":null,"referer":null,"config_generation":7}"# + "\n")
        let empty = try parsed(line(record, texts, labels))
        let full = try parsed(line(self.record(labels), Texts(), labels))
        #expect(empty.keys == full.keys)
    }

    @Test func `a request over TLS and HTTP/2 tells of its encryption, and a gRPC call of its status`() throws {
        let labels = labels()
        var record = record(labels)
        record.version = .http2
        record.isSecure = true
        record.upstreamVersion = .http2
        record.grpcStatus = 14
        let full = line(record, Texts(), labels, tls: .full)
        #expect(
            full.contains(
                #""peer_ip":"2001:db8::1","tls_version":"TLSv1.3","tls_cipher":"TLS_AES_128_GCM_SHA256","sni":"api.example.com","#
                    + #""client_cert_subject":"CN=client,O=A","client_cert_fingerprint":"0123abcd","http_version":"2","method""#))
        #expect(full.contains(#""upstream_status":200,"upstream_protocol":"2","grpc_status":14,"reason":"ok""#))
        #expect(try parsed(full).keys.count == 39)
        // The combined form has no place for them.
        #expect(line(record, Texts(), labels, .combined, tls: .full) == line(record, Texts(), labels, .combined))
    }

    @Test(arguments: [(HTTPVersion.http10, "1.0"), (.http11, "1.1"), (.http2, "2")])
    func `the protocol of the backend is told where one was asked`(version: HTTPVersion, expected: String) throws {
        let labels = labels()
        var record = record(labels)
        #expect(try parsed(line(record, Texts(), labels))["upstream_protocol"] == nil)
        record.upstreamVersion = version
        #expect(try parsed(line(record, Texts(), labels))["upstream_protocol"]?.text == expected)
    }

    @Test func `what is not known of an encrypted connection has no key, and nothing of it is told of a plain one`() throws {
        let labels = labels()
        let keys = ["tls_version", "tls_cipher", "sni", "client_cert_subject", "client_cert_fingerprint"]
        for (i, field) in Encryption.fields.enumerated() {
            var tls = Encryption.full
            tls[keyPath: field] = []
            let node = try parsed(line(record(labels), Texts(), labels, tls: tls))
            for key in keys { #expect((node[key] == nil) == (key == keys[i + 1]), "\(key)") }
        }
        var tls = Encryption.full
        tls.version = ""
        #expect(line(record(labels), Texts(), labels, tls: tls) == line(record(labels), Texts(), labels))
        var record = record(labels)
        record.grpcStatus = 0
        #expect(try parsed(line(record, Texts(), labels))["grpc_status"] == .number("0"))
    }

    /// Hardening 184.
    @Test func `no text of a handshake can break out of its field or make a line long`() throws {
        let labels = labels()
        let hostile: [UInt8] = Array("a\r\nb\u{1b}[31m\"c\\d\u{0}\u{2028}".utf8) + [0xff, 0x7f]
        var everything = Encryption.full
        var record = record(labels)
        record.upstreamVersion = .http11
        record.grpcStatus = .max
        for field in Encryption.fields {
            var tls = Encryption.full
            tls[keyPath: field] = hostile
            #expect(try parsed(line(record, Texts(), labels, tls: tls)).keys.count == 39)
            everything[keyPath: field] = [UInt8](repeating: 0x01, count: 100_000)
        }
        var texts = Texts()
        for field in Texts.fields { texts[keyPath: field] = [UInt8](repeating: 0x01, count: 100_000) }
        texts.requestID = String(repeating: "\u{1}", count: 1000)
        // Every number as long as it can be: the room that a line is given must do for it.
        let most = TimeAmount(nanoseconds: .max)
        record.client = IPAddress("2001:db8:1111:2222:3333:4444:5555:6666")
        record.peer = record.client
        (record.bytesIn, record.bytesOut, record.attempts, record.clientPort) = (.max, .max, .max, .max)
        (record.status, record.upstreamStatus, record.duration, record.overhead) = (.max, .max, most, most)
        (record.firstByte, record.upstream, record.connect, record.queue) = (most, most, most, most)
        let line = line(record, texts, labels, tls: everything)
        #expect(line.utf8.count < 32_768)
        let node = try parsed(line)
        #expect(node["sni"]?.text?.utf8.count == 256)
        #expect(node["client_cert_subject"]?.text?.utf8.count == 512)
        #expect(node["client_cert_fingerprint"]?.text?.utf8.count == 128)
        #expect(node["tls_cipher"]?.text?.utf8.count == 64)
    }

    @Test func `the combined form is that of Apache`() {
        let labels = labels()
        var texts = Texts()
        texts.query = Array("page=2&token=abc".utf8)
        texts.userAgent = Array("a\"b\\c\u{1b}ü".utf8)
        #expect(
            line(record(labels), texts, labels, .combined)
                == #"203.0.113.7 - - [01/Jul/2026:12:34:56 +0000] "GET /api/v1/users/42?page=2&token=*** HTTP/1.1" 200 4567 "-" "#
                + #""a\"b\\c\x1b\xc3\xbc""# + "\n")
        for field in Texts.fields { texts[keyPath: field] = [] }
        #expect(
            line(AccessRecord(time: Timestamp(nanoseconds: 0), status: 400, reason: .badRequest), texts, labels, .combined)
                == #"- - - [01/Jan/1970:00:00:00 +0000] "-" 400 0 "-" "-""# + "\n")
    }

    /// Hardening 184.
    @Test func `no text can break out of its line or its field`() throws {
        let labels = labels()
        let record = record(labels)
        let hostile: [UInt8] = Array("a\r\nb\u{1b}[31m\"c\\d\u{0}\u{2028}\u{9b}".utf8) + [0xff, 0xc0, 0x80, 0x7f]
        for field in Texts.fields {
            var texts = Texts()
            texts[keyPath: field] = hostile
            let node = try parsed(line(record, texts, labels))
            #expect(node["type"]?.text == "access")
            #expect(node["status"] == .number("200"))
            #expect(node.keys.count == 32)
            let combined = line(record, texts, labels, .combined)
            #expect(combined.utf8.dropLast().allSatisfy { (0x20...0x7e).contains($0) })
            #expect(combined.utf8.last == ASCII.lf)
        }
        var texts = Texts()
        texts.path = hostile
        texts.userAgent = hostile
        let node = try parsed(line(record, texts, labels))
        let shown = "a\r\nb\u{1b}[31m\"c\\d\u{0}\u{2028}\u{9b}\\xff\\xc0\\x80\u{7f}"
        #expect(node["path"]?.text == shown)
        #expect(node["user_agent"]?.text == shown)
        texts.requestID = "\"\n"
        #expect(try parsed(line(record, texts, labels))["request_id"]?.text == "\"\n")
    }

    /// Hardening 184.
    @Test func `long texts are cut, so that a line has a bounded length`() throws {
        let labels = labels()
        var texts = Texts()
        for field in Texts.fields { texts[keyPath: field] = [UInt8](repeating: 0x01, count: 100_000) }
        texts.requestID = String(repeating: "r", count: 1000)
        let hostile = line(record(labels), texts, labels)
        #expect(hostile.utf8.count < 32_768)
        #expect(line(record(labels), texts, labels, .combined).utf8.count < 32_768)
        for field in Texts.fields { texts[keyPath: field] = [UInt8](repeating: 0x61, count: 100_000) }
        let node = try parsed(line(record(labels), texts, labels))
        #expect(node["path"]?.text?.utf8.count == 1024)
        #expect(node["query"]?.text?.utf8.count == 1024)
        #expect(node["user_agent"]?.text?.utf8.count == 256)
        #expect(node["referer"]?.text?.utf8.count == 512)
        #expect(node["host"]?.text?.utf8.count == 256)
        #expect(node["method"]?.text?.utf8.count == 32)
        #expect(node["request_id"]?.text?.utf8.count == 128)
    }

    /// Hardening 185.
    @Test(arguments: [
        "token=CANARY", "a=1&access_token=CANARY&b=2", "apiKey=CANARY", "X-Api-Key=CANARY", "client_secret=CANARY",
        "password=CANARY", "PASSWORD=CANARY", "passwd=CANARY", "code=CANARY", "sig=CANARY", "X-Amz-Signature=CANARY",
        "%74oken=CANARY", "to%6Ben=CANARY", "a;token=CANARY", "a=1?token=CANARY", "a=b#access_token=CANARY", "jwt=CANARY",
        "session_id=CANARY", "auth=CANARY", "token=x=CANARY", "id_token=CANARY&id_token=CANARY",
        "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn=CANARY",
        "token%3DCANARY", "x=1%26token=CANARY", "x=1%3btoken=CANARY", "%2574oken=CANARY", "token%253DCANARY", "tok%00en=CANARY",
        "tok+en=CANARY", "token;=CANARY", "redirect=http%3A%2F%2Fx%2F%3Ftoken%3DCANARY", "redirect=http://u:CANARY@h/",
        "redirect=http%3A%2F%2Fu:CANARY%40h/", "q={\"password\":\"CANARY\"}", "q=%7B%22password%22%3A%20%22CANARY%22%7D",
    ])
    func `no secret of a query reaches the log`(query: String) throws {
        let labels = labels()
        var texts = Texts()
        texts.query = Array(query.utf8)
        texts.referer = Array("https://user:CANARY@example.com/x?\(query)".utf8)
        for format in [AccessLogFormat.json, .combined] {
            let line = line(record(labels), texts, labels, format)
            #expect(!line.contains("CANARY"))
            #expect(line.contains("***"))
        }
    }

    /// Hardening 185.
    @Test(arguments: [
        "/fix;token=CANARY", "/x/token=CANARY/y", "/a;b=1;session=CANARY/c", "/x/token%3DCANARY", "/q;%2574oken=CANARY",
    ])
    func `no secret of a path reaches the log`(path: String) throws {
        let labels = labels()
        var texts = Texts()
        texts.path = Array(path.utf8)
        texts.referer = Array("http://a\(path)".utf8)
        for format in [AccessLogFormat.json, .combined] {
            let line = line(record(labels), texts, labels, format)
            #expect(!line.contains("CANARY"))
        }
    }

    @Test(arguments: ["/users/7", "/a;v=1/b=2", "/users:list", "/%2Fa", "/x@y", "/a=b=c", "/"])
    func `an ordinary path is shown whole`(path: String) throws {
        let labels = labels()
        var texts = Texts()
        texts.path = Array(path.utf8)
        #expect(try parsed(line(record(labels), texts, labels))["path"]?.text == path)
    }

    /// Hardening 185.
    @Test(arguments: [
        "token: CANARY", "x token=CANARY", "Authorization: Bearer CANARY", "bearer\tCANARY", "{\"password\":\"CANARY\"}",
        "password = CANARY", "%74oken=CANARY", "Basic CANARY", "a Digest response=CANARY", "Bearer%20CANARY", "bearer=CANARY",
        "http://u:CANARY@h/",
    ])
    func `no secret of a user agent reaches the log`(agent: String) throws {
        let labels = labels()
        var texts = Texts()
        texts.userAgent = Array(agent.utf8)
        for format in [AccessLogFormat.json, .combined] {
            let line = line(record(labels), texts, labels, format)
            #expect(!line.contains("CANARY"))
        }
    }

    @Test(arguments: [
        "curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0", "a=b", "x@y.z", "50%",
        "basically",
        "BearerBot/1.0",
    ])
    func `an ordinary user agent is shown whole`(agent: String) throws {
        let labels = labels()
        var texts = Texts()
        texts.userAgent = Array(agent.utf8)
        #expect(try parsed(line(record(labels), texts, labels))["user_agent"]?.text == agent)
    }

    @Test(arguments: [
        ("a=1&b=2", "a=1&b=2"), ("token=", "token="), ("token", "token"), ("a&&b=&=c", "a&&b=&=c"),
        ("token=a&x=b", "token=***&x=b"),
        ("x=token", "x=token"), ("&", "&"), ("=x", "=x"), ("page=1;key=2;z", "page=1;key=***;z"), ("%zz=1&%=2", "%zz=1&%=2"),
        ("sig=1&", "sig=***&"),
    ])
    func `a query is shown but for the values of secrets`(query: String, expected: String) throws {
        let labels = labels()
        var texts = Texts()
        texts.query = Array(query.utf8)
        #expect(try parsed(line(record(labels), texts, labels))["query"]?.text == expected)
    }

    @Test(arguments: [
        ("https://example.com/a@b", "https://example.com/a@b"), ("https://u@example.com/", "https://***@example.com/"),
        ("https://@example.com/", "https://@example.com/"), ("http://", "http://"), ("x", "x"), ("://u:p@h", "://***@h"),
        ("https://e.com/?a=1&token=2#x", "https://e.com/?a=1&token=***#x"), ("?", "?"),
    ])
    func `a referer is shown but for its user information and secrets`(referer: String, expected: String) throws {
        let labels = labels()
        var texts = Texts()
        texts.referer = Array(referer.utf8)
        #expect(try parsed(line(record(labels), texts, labels))["referer"]?.text == expected)
    }

    @Test func `any bytes in any field make one valid line`() throws {
        let labels = labels()
        var random = RandomSource(seed: 184)
        for _ in 0..<3000 {
            var texts = Texts()
            for field in Texts.fields {
                let count = Int.random(in: 0..<(random.next() % 8 == 0 ? 1500 : 40), using: &random)
                let alphabet = Array("\"\\\n&=?keyA%".utf8) + [0xe2, 0x80, 0xa8, 0xff]
                texts[keyPath: field] = (0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &random)] }
            }
            _ = try parsed(line(record(labels), texts, labels))
            #expect(line(record(labels), texts, labels, .combined).utf8.dropLast().allSatisfy { (0x20...0x7e).contains($0) })
        }
    }

    @Test func `labels of another configuration are not shown as names of this one`() throws {
        var store = MetricsStore(workers: 1)
        let old = store.adopt(.init(routes: ["a", "b"]), generation: 1, at: Instant(nanoseconds: 0))
        let new = store.adopt(.init(routes: ["b"]), generation: 2, at: Instant(nanoseconds: 1))
        var record = AccessRecord(time: Timestamp(nanoseconds: 0), status: 200, reason: .ok)
        record.route = old.routes[0]
        #expect(try parsed(line(record, Texts(), old))["route"]?.text == "a")
        #expect(try parsed(line(record, Texts(), new))["route"] == .null)
        record.route = new.routes[0]
        #expect(try parsed(line(record, Texts(), new))["route"]?.text == "b")
    }

    @Test func `the texts of a head are found, and without a canonical path the target is shown`() throws {
        let labels = labels()
        var head = RequestHead()
        head.headers.storage.append("GET /raw?token=CANARY HTTP/1.1")
        head.methodRange = 0..<3
        head.targetRange = 4..<21
        let agent = Array("agent".utf8)
        let secret = Array("CANARY".utf8)
        head.headers.add(.userAgent, value: agent.span.bytes)
        for id in [FieldID.authorization, .cookie, .xAPIKey, .setCookie] { head.headers.add(id, value: secret.span.bytes) }
        let referer = Array("http://r/".utf8)
        head.headers.add(.referer, value: referer.span.bytes)
        func logged(_ head: borrowing RequestHead) throws -> JSONNode {
            var buffer = ByteBuffer(capacity: 16)
            let id = Array("id".utf8)
            AccessLogLine.append(
                record(labels), AccessText(head, requestID: id.span.bytes), labels: labels, format: .json, into: &buffer)
            let line = String(decoding: buffer.bytes.array(), as: UTF8.self)
            #expect(!line.contains("CANARY"))
            return try parsed(line)
        }
        var node = try logged(head)
        #expect(node["path"]?.text == "/raw")
        #expect(node["query"]?.text == "token=***")
        #expect(node["host"] == .null)
        #expect(node["user_agent"]?.text == "agent")
        #expect(node["referer"]?.text == "http://r/")
        let start = head.headers.storage.count
        head.headers.storage.append("h.example/canonicalq=1")
        head.host = start..<start + 9
        head.path = start + 9..<start + 19
        head.query = start + 19..<start + 22
        node = try logged(head)
        #expect(node["host"]?.text == "h.example")
        #expect(node["path"]?.text == "/canonical")
        #expect(node["query"]?.text == "q=1")
    }
}

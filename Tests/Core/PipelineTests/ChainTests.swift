import HTTPMessages
import Pipeline
import Primitives
import Synchronization
import Testing

/// Order, answers and suspension in a chain.
@Suite struct ChainTests {
    /// Writes down what it is asked, and answers as it is told.
    final class Probe: Middleware {
        let name: String
        let log: Log
        let inRequest: Verdict
        let inResponse: Verdict
        let resumptions = Mutex<[Resumption]>([])

        init(_ name: String, _ log: Log, request: Verdict = .proceed, response: Verdict = .proceed) {
            self.name = name
            self.log = log
            inRequest = request
            inResponse = response
        }

        func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
            log.append("\(name)>")
            let resumption = context.suspension()
            resumptions.withLock { $0.append(resumption) }
            return inRequest
        }

        func response(
            _ head: inout ResponseHead, to request: borrowing RequestHead, _ context: inout RequestContext
        ) -> Verdict {
            log.append("<\(name)")
            let resumption = context.suspension()
            resumptions.withLock { $0.append(resumption) }
            return inResponse
        }
    }

    final class Log: Sendable {
        private let entries = Mutex<[String]>([])
        var all: [String] { entries.withLock { $0 } }
        func append(_ entry: String) { entries.withLock { $0.append(entry) } }
    }

    final class Sink: ResumptionSink {
        private let calls = Mutex<[(SuspensionPoint, ResumeVerdict)]>([])
        var points: [SuspensionPoint] { calls.withLock { $0.map(\.0) } }
        var verdicts: [ResumeVerdict] { calls.withLock { $0.map(\.1) } }
        func resume(_ point: SuspensionPoint, with verdict: ResumeVerdict) { calls.withLock { $0.append((point, verdict)) } }
    }

    private func describe(_ outcome: ChainOutcome) -> String {
        switch outcome {
        case .proceed: "proceed"
        case .answer(let answer, let index): "answer \(answer.status) at \(index)"
        case .suspended(let index): "suspended at \(index)"
        }
    }

    @Test func `requests pass in order and responses in reverse`() {
        let log = Log()
        let chain = Chain([.custom(Probe("a", log)), .bodySize(limit: 10), .custom(Probe("b", log)), .custom(Probe("c", log))])
        var head = request("GET / HTTP/1.1", "Host: a")
        var response = response("HTTP/1.1 200 OK")
        var context = context()
        #expect(describe(chain.runRequest(from: 0, head: &head, context: &context)) == "proceed")
        #expect(describe(chain.runResponse(from: chain.last, head: &response, request: head, context: &context)) == "proceed")
        #expect(log.all == ["a>", "b>", "c>", "<c", "<b", "<a"])
        #expect((0..<chain.count).map { chain.name(of: $0) } == ["a", "body_size", "b", "c"])
        #expect(chain.name(of: 4).isEmpty)
    }

    @Test func `an empty chain lets everything pass`() {
        let chain = Chain([])
        var head = request("GET / HTTP/1.1", "Host: a")
        var response = response("HTTP/1.1 200 OK")
        var context = context()
        #expect(describe(chain.runRequest(from: 0, head: &head, context: &context)) == "proceed")
        #expect(describe(chain.runResponse(from: chain.last, head: &response, request: head, context: &context)) == "proceed")
        #expect(chain.last == -1)
    }

    @Test(arguments: 0..<4) func `an answer ends the request phase, and the stages before it see the response`(_ index: Int) {
        let log = Log()
        let names = ["a", "b", "c", "d"]
        let chain = Chain(
            names.enumerated().map { k, name in
                .custom(Probe(name, log, request: k == index ? .answer(Answer(status: 418)) : .proceed))
            })
        var head = request("GET / HTTP/1.1", "Host: a")
        var response = ResponseHead()
        var context = context()
        let outcome = chain.runRequest(from: 0, head: &head, context: &context)
        #expect(describe(outcome) == "answer 418 at \(index)")
        guard case .answer(let answer, let at) = outcome else { return }
        answer.fill(&response)
        #expect(describe(chain.runResponse(from: at - 1, head: &response, request: head, context: &context)) == "proceed")
        #expect(log.all == names[0...index].map { "\($0)>" } + names[0..<index].reversed().map { "<\($0)" })
    }

    @Test(arguments: 0..<4) func `an answer in the response phase ends it there`(_ index: Int) {
        let log = Log()
        let names = ["a", "b", "c", "d"]
        let chain = Chain(
            names.enumerated().map { k, name in
                .custom(Probe(name, log, response: k == index ? .answer(Answer(status: 500)) : .proceed))
            })
        let head = request("GET / HTTP/1.1", "Host: a")
        var response = response("HTTP/1.1 200 OK")
        var context = context()
        let outcome = chain.runResponse(from: chain.last, head: &response, request: head, context: &context)
        #expect(describe(outcome) == "answer 500 at \(index)")
        #expect(log.all == names[index...3].reversed().map { "<\($0)" })
    }

    @Test(arguments: 0..<4) func `a suspended request goes on behind the stage that waited`(_ index: Int) {
        let log = Log()
        let sink = Sink()
        let names = ["a", "b", "c", "d"]
        let probes = names.enumerated().map { k, name in Probe(name, log, request: k == index ? .suspend : .proceed) }
        let chain = Chain(probes.map { .custom($0) })
        var head = request("GET / HTTP/1.1", "Host: a")
        var context = context(sink: sink, exchange: 77)
        #expect(describe(chain.runRequest(from: 0, head: &head, context: &context)) == "suspended at \(index)")
        #expect(log.all == names[0...index].map { "\($0)>" })
        probes[index].resumptions.withLock { $0.first }?.resume(.proceed)
        #expect(sink.points == [SuspensionPoint(exchange: 77, phase: .request, stage: index)])
        #expect(describe(chain.runRequest(from: index + 1, head: &head, context: &context)) == "proceed")
        #expect(log.all == names.map { "\($0)>" })
    }

    @Test(arguments: 0..<4) func `a suspended response goes on before the stage that waited`(_ index: Int) {
        let log = Log()
        let sink = Sink()
        let names = ["a", "b", "c", "d"]
        let probes = names.enumerated().map { k, name in Probe(name, log, response: k == index ? .suspend : .proceed) }
        let chain = Chain(probes.map { .custom($0) })
        let head = request("GET / HTTP/1.1", "Host: a")
        var response = response("HTTP/1.1 200 OK")
        var context = context(sink: sink, exchange: 78)
        #expect(
            describe(chain.runResponse(from: 3, head: &response, request: head, context: &context)) == "suspended at \(index)")
        probes[index].resumptions.withLock { $0.first }?.resume(.answer(Answer(status: 503)))
        #expect(sink.points == [SuspensionPoint(exchange: 78, phase: .response, stage: index)])
        #expect(describe(chain.runResponse(from: index - 1, head: &response, request: head, context: &context)) == "proceed")
        #expect(log.all == names.reversed().map { "<\($0)" })
    }

    @Test func `only the first of two resumptions counts`() throws {
        let sink = Sink()
        let probe = Probe("a", Log(), request: .suspend)
        var head = request("GET / HTTP/1.1", "Host: a")
        var context = context(sink: sink)
        _ = Chain([.custom(probe)]).runRequest(from: 0, head: &head, context: &context)
        let resumption = try #require(probe.resumptions.withLock { $0.first })
        resumption.resume(.answer(Answer(status: 403)))
        resumption.resume(.proceed)
        #expect(sink.points.count == 1)
        guard case .answer(let answer) = sink.verdicts.first else { return #expect(Bool(false)) }
        #expect(answer.status == 403)
    }

    @Test func `of many threads that resume at once, one is heard`() async throws {
        let sink = Sink()
        let probe = Probe("a", Log(), request: .suspend)
        var head = request("GET / HTTP/1.1", "Host: a")
        var context = context(sink: sink)
        _ = Chain([.custom(probe)]).runRequest(from: 0, head: &head, context: &context)
        let resumption = try #require(probe.resumptions.withLock { $0.first })
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<64 { group.addTask { resumption.resume(.proceed) } }
        }
        #expect(sink.points.count == 1)
    }

    @Test func `a resumption without anybody who waits is dropped`() throws {
        let probe = Probe("a", Log(), request: .suspend)
        var head = request("GET / HTTP/1.1", "Host: a")
        var context = context(sink: nil)
        _ = Chain([.custom(probe)]).runRequest(from: 0, head: &head, context: &context)
        try #require(probe.resumptions.withLock { $0.first }).resume(.proceed)
    }

    @Test func `a declared length above the limit is answered with 413, and the limit holds for the rest`() {
        let outcome = { (limit: UInt64, framing: String) -> (String, UInt64) in
            var head = request("POST / HTTP/1.1", "Host: a", framing)
            var context = context()
            return (
                describe(Chain([.bodySize(limit: limit)]).runRequest(from: 0, head: &head, context: &context)), context.bodyLimit
            )
        }
        #expect(outcome(10, "Content-Length: 10") == ("proceed", 10))
        #expect(outcome(10, "Content-Length: 11") == ("answer 413 at 0", 10))
        #expect(outcome(10, "Content-Length: 9223372036854775807") == ("answer 413 at 0", 10))
        #expect(outcome(10, "Transfer-Encoding: chunked") == ("proceed", 10))
        #expect(outcome(0, "Content-Length: 9223372036854775807") == ("proceed", .max))
        #expect(outcome(20_000_000, "Content-Length: 20000000") == ("proceed", 20_000_000))
        guard case .error(let code, let message) = Answer.bodyTooLarge.content else { return #expect(Bool(false)) }
        #expect(code == "INVALID_REQUEST")
        #expect(!message.isEmpty)
        #expect(Answer.bodyTooLarge.reason == "body_too_large")
    }

    /// Adds fields to both heads, under whatever id.
    struct Adder: Middleware {
        let name = "adder"
        let fields: [(String, String)]

        func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
            add(to: &head.headers)
            return .proceed
        }

        func response(
            _ head: inout ResponseHead, to request: borrowing RequestHead, _ context: inout RequestContext
        ) -> Verdict {
            add(to: &head.headers)
            return .proceed
        }

        private func add(to headers: inout HeaderBlock) {
            for (name, value) in fields {
                let nameBytes = bytes(name)
                let valueBytes = bytes(value)
                headers.add(.other, name: nameBytes.span.bytes, value: valueBytes.span.bytes)
            }
        }
    }

    @Test func `what a middleware adds of the gateway's fields is dropped, whatever it calls them`() {
        let fields = [
            ("Transfer-Encoding", "chunked"), ("content-length", "0"), ("X-Tenant", "t"), ("Host", "b"),
            ("Connection", "X-Tenant"),
            ("X-Forwarded-For", "192.0.2.1"), ("VIA", "1.1 x"), ("X-User-ID", "1"),
        ]
        let chain = Chain([.custom(Adder(fields: fields))])
        var head = request("GET / HTTP/1.1", "Host: a")
        var response = response("HTTP/1.1 200 OK", "Server: s")
        var context = context()
        _ = chain.runRequest(from: 0, head: &head, context: &context)
        _ = chain.runResponse(from: 0, head: &response, request: head, context: &context)
        #expect(fieldLines(head) == ["Host: a", "X-Tenant: t", "X-User-ID: 1"])
        #expect(fieldLines(response) == ["Server: s", "X-Tenant: t", "X-User-ID: 1"])
    }

    /// As a user would write one.
    struct Tenant: Middleware {
        let name = "tenant"

        func request(_ head: inout RequestHead, _ context: inout RequestContext) -> Verdict {
            guard let tenant = head.headers.text("X-Tenant") else {
                return .answer(.error(status: 400, code: "INVALID_REQUEST", message: "X-Tenant is missing", reason: "tenant"))
            }
            head.headers.set("x-tenant", tenant + "/" + (context.routeName ?? "-") + "/" + (context.serviceName ?? "-"))
            head.headers.add("X-Seen", context.listenerName ?? "-")
            return .proceed
        }

        func response(
            _ head: inout ResponseHead, to request: borrowing RequestHead, _ context: inout RequestContext
        ) -> Verdict {
            head.headers.set("Server", context.instanceName ?? "-")
            return .proceed
        }
    }

    @Test func `a middleware reads and writes fields as text`() {
        let chain = Chain([.custom(Tenant())])
        var head = request("GET / HTTP/1.1", "Host: a", "X-TENANT: t", "x-tenant: u")
        var response = response("HTTP/1.1 200 OK", "Server: s")
        var context = context()
        context.routeIndex = 1
        context.instanceIndex = 1
        #expect(describe(chain.runRequest(from: 0, head: &head, context: &context)) == "proceed")
        _ = chain.runResponse(from: 0, head: &response, request: head, context: &context)
        #expect(fieldLines(head) == ["Host: a", "x-tenant: t/live/-", "X-Seen: web"])
        #expect(fieldLines(response) == ["Server: 10.0.0.6:8080"])
        var bare = request("GET / HTTP/1.1", "Host: a")
        #expect(describe(chain.runRequest(from: 0, head: &bare, context: &context)) == "answer 400 at 0")
    }

    @Test func `a field that is none, or the gateway's, cannot be added as text`() {
        var head = request("GET / HTTP/1.1", "Host: a", "X-A: 1")
        let refused = [
            ("X A", "1"), ("", "1"), ("X-B", "1\r\nX-C: 2"), ("X-B", "1\n"), ("X-B", String(repeating: "a", count: 65_536)),
        ]
        for (name, value) in refused {
            let isAdded = head.headers.add(name, value)
            #expect(!isAdded)
        }
        let isLengthSet = head.headers.set("Content-Length", "1")
        let isControlSet = head.headers.set("X-A", "\0")
        let isEmptyAdded = head.headers.add("X-B", "")
        #expect(!isLengthSet)
        #expect(!isControlSet)
        #expect(isEmptyAdded)
        #expect(fieldLines(head) == ["Host: a", "X-A: 1", "X-B: "])
        let missing = head.headers.text("X-C")
        #expect(missing == nil)
    }

    @Test func `an answer becomes a head without the gateway's fields`() {
        var head = response("HTTP/1.1 200 OK", "Server: s")
        Answer(
            status: 302,
            fields: [("Location", "/b"), ("Content-Length", "7"), ("Connection", "close"), ("bad name", "1"), ("Date", "x")],
            body: bytes("x"), contentType: "text/html"
        ).fill(&head)
        #expect(head.status == 302)
        #expect(fieldLines(head) == ["Location: /b", "Content-Type: text/html"])
    }

    struct Idle: Middleware { let name = "idle" }

    @Test func `a middleware that asks for neither phase lets both pass`() {
        let chain = Chain([.custom(Idle())])
        var head = request("GET / HTTP/1.1", "Host: a")
        var response = response("HTTP/1.1 200 OK", "Server: s")
        var context = context()
        #expect(describe(chain.runRequest(from: 0, head: &head, context: &context)) == "proceed")
        #expect(describe(chain.runResponse(from: 0, head: &response, request: head, context: &context)) == "proceed")
        #expect(fieldLines(head) == ["Host: a"])
        #expect(fieldLines(response) == ["Server: s"])
    }
}

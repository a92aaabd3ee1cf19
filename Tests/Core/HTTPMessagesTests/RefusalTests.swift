import HTTPMessages
import Primitives
import Testing

@Suite struct RefusalTests {
    @Test func `the status says who is at fault: 502 the backend, 503 nobody was asked, 504 patience ran out`() {
        for refusal in Refusal.all {
            switch refusal.code {
            case .upstreamError: #expect(refusal.status == 502)
            case .serviceUnavailable: #expect(refusal.status == 503)
            case .upstreamTimeout: #expect(refusal.status == 504)
            case .internalError: #expect(refusal.status == 500)
            case .notFound: #expect(refusal.status == 404)
            case .methodNotAllowed: #expect(refusal.status == 405)
            case .requestTimeout: #expect(refusal.status == 408)
            case .authError: #expect([401, 403].contains(refusal.status))
            case .loopDetected: #expect(refusal.status == 508)
            case .invalidRequest: #expect([400, 411, 413, 414, 417, 421, 426, 431, 501, 505].contains(refusal.status))
            case .circuitOpen: #expect(refusal.status == 503)
            case .httpsRequired, .rateLimit: Issue.record("\(refusal) has a code that nothing here may use")
            }
        }
    }

    @Test func `one reason has one status and one code`() {
        var seen: [Reason: (UInt16, ErrorCode)] = [:]
        for refusal in Refusal.all {
            if let (status, code) = seen[refusal.reason] {
                #expect(refusal.status == status && refusal.code == code, "\(refusal.reason.name)")
            }
            seen[refusal.reason] = (refusal.status, refusal.code)
        }
    }

    @Test func `every reason is that of a refusal, or of a request that was served or given up`() {
        let others: Set<Reason> = [
            .ok, .response, .redirect, .tunnel, .clientClosed, .fallbackServed, .upstreamStatus,
            // An answer of a middleware.
            .certificateDenied,
        ]
        #expect(Set(Refusal.all.map(\.reason)).union(others) == Set(Reason.allCases))
        #expect(Set(Refusal.all.map(\.reason)).isDisjoint(with: others))
    }

    @Test func `names of reasons and codes are unique and of one form`() {
        let reasons = Reason.allCases.map { "\($0.name)" }
        #expect(Set(reasons).count == reasons.count)
        #expect(reasons.allSatisfy { $0.utf8.allSatisfy { ($0 >= 0x61 && $0 <= 0x7a) || $0 == 0x5f } })
        let codes = ErrorCode.allCases.map { "\($0.name)" }
        #expect(Set(codes).count == codes.count)
        #expect(codes.allSatisfy { $0.utf8.allSatisfy { ($0 >= 0x41 && $0 <= 0x5a) || $0 == 0x5f } })
    }

    @Test func `a request whose end is not known costs the connection`() {
        for refusal in Refusal.all where [408, 411, 413, 414, 417, 431, 505].contains(refusal.status) {
            #expect(refusal.closes, "\(refusal.status)")
        }
        #expect(Refusal.badRequest.closes)
        #expect(Refusal.methodNeverAllowed.closes)
        #expect(!Refusal.noRoute.closes)
        #expect(!Refusal.upstreamReset.closes)
        #expect(Refusal.noRoute.closing().closes)
    }

    @Test func `only a 503 says when to come back`() {
        for refusal in Refusal.all where refusal.status != 503 { #expect(refusal.retryAfterSeconds == 0) }
        #expect(Refusal.overload.retryAfterSeconds == 1)
        #expect(Refusal.maintenance(retryAfterSeconds: 120).retryAfterSeconds == 120)
        #expect(Refusal.maintenance(retryAfterSeconds: -1).retryAfterSeconds == 0)
    }

    @Test func `Retry-After is spread by up to a fifth and never comes earlier`() {
        var seen: Set<Int> = []
        for random in 0..<1000 {
            let after = Refusal.maintenance(retryAfterSeconds: 60).jittered(by: UInt64(random)).retryAfterSeconds
            #expect((60...72).contains(after))
            seen.insert(after)
        }
        #expect(seen.count == 13)
        #expect(Refusal.overload.jittered(by: .max).retryAfterSeconds == 1)
        #expect(Refusal.noRoute.jittered(by: .max).retryAfterSeconds == 0)
        #expect(Refusal.maintenance(retryAfterSeconds: .max).jittered(by: 7).retryAfterSeconds == .max)
    }

    /// Hardening 77.
    @Test func `every answer of the gateway's own is hardened, names no version and carries the request id`() {
        for refusal in Refusal.all {
            let fields = filled(refusal, .json, allow: "")
            #expect(fields["content-type"] == "application/json; charset=utf-8")
            #expect(fields["x-content-type-options"] == "nosniff")
            #expect(fields["cache-control"] == "no-store")
            #expect(fields["server"] == "sluice")
            #expect(fields["x-request-id"] == "01900000-abcd")
            #expect(fields["allow"] == nil)
            #expect(fields["proxy-status"] == refusal.proxyStatus.map { "sluice; error=\($0)" })
            #expect(fields["retry-after"] == (refusal.retryAfterSeconds > 0 ? "\(refusal.retryAfterSeconds)" : nil))
        }
    }

    @Test func `a 405 carries Allow, problem details carry their type`() {
        #expect(filled(.methodNotAllowed, .json, allow: "GET, HEAD")["allow"] == "GET, HEAD")
        #expect(filled(.noRoute, .problem, allow: "")["content-type"] == "application/problem+json")
    }

    @Test func `a refusal without a request id leaves the field out`() {
        var head = ResponseHead()
        Refusal.badRequest.fill(&head, format: .json, bodyBytes: 10, requestID: RawSpan(), allow: RawSpan())
        #expect(head.headers.firstIndex(of: .xRequestID) == nil)
    }

    @Test func `every status that is sent has a phrase, and an unknown one has none`() {
        for refusal in Refusal.all { #expect(StatusPhrase.text(of: refusal.status).utf8CodeUnitCount > 0) }
        #expect("\(StatusPhrase.text(of: 404))" == "Not Found")
        #expect(StatusPhrase.text(of: 299).utf8CodeUnitCount == 0)
    }

    private func filled(_ refusal: Refusal, _ format: RefusalBody.Format, allow: String) -> [String: String] {
        var head = ResponseHead()
        let id = Array("01900000-abcd".utf8)
        let allow = Array(allow.utf8)
        refusal.fill(&head, format: format, bodyBytes: 42, requestID: id.span.bytes, allow: allow.span.bytes)
        #expect(head.status == refusal.status)
        #expect(head.framing == .length(42))
        var fields: [String: String] = [:]
        for i in 0..<head.headers.count {
            let name = String(decoding: head.headers.name(i).array(), as: UTF8.self)
            #expect(fields[name] == nil, "\(name) twice")
            fields[name] = String(decoding: head.headers.value(i).array(), as: UTF8.self)
        }
        return fields
    }
}

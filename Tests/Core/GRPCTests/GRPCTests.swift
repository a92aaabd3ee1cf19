import GRPC
import HTTPMessages
import Primitives
import Testing

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ span: RawSpan) -> String { String(decoding: span.array(), as: UTF8.self) }

/// A block of these fields.
func block(_ lines: [String]) -> HeaderBlock {
    var headers = HeaderBlock()
    for line in lines {
        let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        let name = bytes(String(parts[0]))
        let value = bytes(String(parts[1]))
        headers.add(FieldID(lowercasing: name.span.bytes), name: name.span.bytes, value: value.span.bytes.trimmingWhitespace())
    }
    return headers
}

@Suite struct GRPCContentTypeTests {
    @Test(arguments: [
        ("application/grpc", true), ("application/grpc+proto", true), ("application/grpc+json", true),
        ("application/grpc;charset=utf-8", true), ("application/grpc ; a=b", true), ("Application/GRPC", true),
        ("application/grpc-web", false), ("application/grpc-web+proto", false), ("application/grpc-web-text", false),
        ("application/grpcx", false), ("application/grp", false), ("application/json", false), ("", false),
        ("text/application/grpc", false),
    ])
    func `a message is of gRPC by its type, which grpc-web is not`(_ type: String, _ isGRPC: Bool) {
        var head = RequestHead()
        head.headers.add(.contentType, value: bytes(type).span.bytes)
        #expect(GRPCContentType.isGRPC(head) == isGRPC)
        var answer = ResponseHead()
        answer.headers.add(.contentType, value: bytes(type).span.bytes)
        #expect(GRPCContentType.isGRPC(answer) == isGRPC)
    }

    @Test func `a message without a type is not of gRPC`() { #expect(GRPCContentType.isGRPC(RequestHead()) == false) }
}

/// Hardening 112; B.2.
@Suite struct GRPCStatusTests {
    @Test(arguments: [
        (400, 13), (401, 16), (403, 7), (404, 12), (405, 12), (408, 4), (411, 13), (413, 8), (414, 8), (415, 12), (417, 13),
        (421, 14), (425, 14), (429, 8), (431, 8), (499, 1), (500, 13), (501, 12), (502, 14), (503, 14), (504, 4), (505, 13),
        (508, 13), (200, 2), (302, 2), (418, 2), (426, 2), (599, 2), (0, 2), (65_535, 2),
    ])
    func `a status of HTTP is one of gRPC`(_ http: Int, _ grpc: Int) {
        #expect(GRPCStatus(httpStatus: UInt16(http)).rawValue == UInt8(grpc))
    }

    @Test func `a refusal is what its status says, and 400 is the library's fault or the caller's`() {
        #expect(GRPCStatus(.badRequest) == .internal)
        #expect(GRPCStatus(.unacceptable) == .invalidArgument)
        let table: [(Refusal, GRPCStatus)] = [
            (.authMissing, .unauthenticated), (.ipDenied, .permissionDenied), (.noRoute, .unimplemented),
            (.methodNotAllowed, .unimplemented), (.bodyTooLarge, .resourceExhausted), (.headerTooLarge, .resourceExhausted),
            (.circuitOpen(retryAfterSeconds: 1), .unavailable), (.noHealthyInstance, .unavailable), (.queueFull, .unavailable),
            (.overload, .unavailable), (.draining, .unavailable), (.connectRefused, .unavailable),
            (.upstreamReset, .unavailable), (.upstreamMalformed, .unavailable), (.connectTimeout, .deadlineExceeded),
            (.upstreamTimeout, .deadlineExceeded), (.internalError, .internal), (.unknownMethod, .unimplemented),
        ]
        for (refusal, status) in table { #expect(GRPCStatus(refusal) == status, "\(refusal.reason.name)") }
        for refusal in Refusal.all where refusal.status != 426 {
            #expect(GRPCStatus(refusal) != .unknown && GRPCStatus(refusal) != .ok, "\(refusal.reason.name)")
        }
    }

    /// gRPC over HTTP2, "Errors".
    @Test func `a code of HTTP 2 is a status of gRPC`() {
        let table: [(UInt32?, GRPCStatus)] = [
            (nil, .unavailable), (0, .internal), (1, .internal), (2, .internal), (3, .internal), (4, .internal), (5, .internal),
            (6, .internal), (7, .unavailable), (8, .cancelled), (9, .internal), (10, .internal), (11, .resourceExhausted),
            (12, .permissionDenied), (13, .internal), (99, .internal), (.max, .internal),
        ]
        for (code, status) in table { #expect(GRPCStatus(http2ErrorCode: code) == status, "\(String(describing: code))") }
    }

    @Test func `the numbers are those of gRPC`() {
        #expect(GRPCStatus.allCases.map(\.rawValue) == Array(0...16))
        #expect(Set(GRPCStatus.allCases.map { "\($0.name)" }).count == 17)
        #expect(GRPCStatus.unavailable.rawValue == 14 && GRPCStatus.unauthenticated.rawValue == 16)
    }
}

@Suite struct GRPCMessageTests {
    private func encoded(_ bytes: [UInt8]) -> String {
        var out = ByteBuffer(capacity: 16)
        GRPCMessage.append(bytes.span.bytes, to: &out)
        return text(out.bytes)
    }

    @Test(arguments: [
        ("", ""), ("plain ~text", "plain ~text"), ("100%", "100%25"), ("a\r\nb", "a%0D%0Ab"), ("é", "%C3%A9"), ("\t", "%09"),
        ("\u{7f}\0", "%7F%00"),
    ])
    func `a message is escaped where a field could not hold it`(_ plain: String, _ field: String) {
        #expect(encoded(bytes(plain)) == field)
    }

    @Test func `every byte comes back as it was`() {
        let all = Array(UInt8.min...UInt8.max)
        #expect(encoded(all).utf8.allSatisfy { $0 >= 0x20 && $0 <= 0x7e })
        #expect(PercentText.bytes(bytes(encoded(all))[...]) == all)
    }
}

/// Hardening 113.
@Suite struct GRPCTimeoutTests {
    private func read(_ values: [String]) throws(GRPCTimeoutFault) -> UInt64? {
        try GRPCTimeout.read(block(values.map { "grpc-timeout: \($0)" }))?.nanoseconds
    }

    @Test(arguments: [
        ("1H", 3_600_000_000_000), ("1M", 60_000_000_000), ("1S", 1_000_000_000), ("1m", 1_000_000), ("1u", 1000), ("1n", 1),
        ("00000001n", 1), ("99999999n", 99_999_999), ("99999999S", 99_999_999_000_000_000), ("0S", 0), ("0n", 0),
        ("99999999H", UInt64.max), ("5124095H", 18_446_742_000_000_000_000), ("5124096H", .max),
        ("99999999M", 5_999_999_940_000_000_000),
    ])
    func `a timeout is read, and one beyond all clocks is for ever`(_ value: String, _ nanoseconds: UInt64) throws {
        #expect(try read([value]) == nanoseconds)
    }

    @Test(arguments: [
        "", "1", "S", "1s", "1h", "123456789S", "000000001S", "1.5S", "-1S", "+1S", " 1 S", "1 S", "1SS", "1Sm", "1µ", "0x1S",
        "1S,2S",
        "99999999999999999999H", "１S",
    ])
    func `a timeout of another form is a fault`(_ value: String) {
        #expect(throws: GRPCTimeoutFault.malformed) { try read([value]) }
    }

    @Test func `no timeout is none, two are a fault`() throws {
        #expect(try read([]) == nil)
        #expect(throws: GRPCTimeoutFault.repeated) { try read(["1S", "1S"]) }
    }

    private func written(_ nanoseconds: UInt64) -> String {
        var out = ByteBuffer(capacity: 16)
        GRPCTimeout.appendValue(TimeAmount(nanoseconds: nanoseconds), to: &out)
        return text(out.bytes)
    }

    @Test(arguments: [
        (0, "1n"), (1, "1n"), (99_999_999, "99999999n"), (100_000_000, "100000u"), (1_000_000_000, "1000000u"),
        (99_999_999_999, "99999999u"), (100_000_000_000, "100000m"), (99_999_999_999_999, "99999999m"),
        (100_000_000_000_000, "100000S"), (99_999_999_999_999_999, "99999999S"), (100_000_000_000_000_000, "1666666M"),
        (5_999_999_999_999_999_999, "99999999M"), (6_000_000_000_000_000_000, "1666666H"), (UInt64.max, "5124095H"),
    ])
    func `what is left is written as exactly as eight digits allow`(_ nanoseconds: UInt64, _ value: String) {
        #expect(written(nanoseconds) == value)
    }

    @Test func `what is written can be read, is never more than was left and hardly less`() throws {
        var random = RandomSource(seed: 3)
        for _ in 0..<10_000 {
            let left = random.next() >> random.below(64)
            let back = try #require(try read([written(left)]))
            #expect(back <= max(1, left) && back > 0)
            #expect(left - min(left, back) <= left / 100_000)
        }
    }

    @Test func `the line has the field's name`() {
        var out = ByteBuffer(capacity: 16)
        GRPCTimeout.append(.seconds(1), to: &out)
        #expect(text(out.bytes) == "grpc-timeout: 1000000u\r\n")
    }
}

/// Hardening 112, 114.
@Suite struct TrailersOnlyTests {
    @Test func `the lines tell status and message, the message escaped`() {
        var out = ByteBuffer(capacity: 16)
        TrailersOnly.appendFields(.unavailable, message: bytes("100% gone\r\nX: y").span.bytes, to: &out)
        #expect(text(out.bytes) == "grpc-status: 14\r\ngrpc-message: 100%25 gone%0D%0AX: y\r\n")
        out.clear()
        TrailersOnly.appendFields(.ok, message: RawSpan(), to: &out)
        #expect(text(out.bytes) == "grpc-status: 0\r\n")
    }

    @Test func `the answer to a refusal is 200 without a body, for every refusal`() {
        for refusal in Refusal.all {
            var head = ResponseHead()
            TrailersOnly.fill(&head, with: refusal, requestID: bytes("01900000-abcd").span.bytes)
            #expect(head.status == 200 && head.framing == .length(0))
            var fields = [String: String]()
            for i in 0..<head.headers.count { fields[text(head.headers.name(i))] = text(head.headers.value(i)) }
            #expect(fields.count == head.headers.count)
            #expect(fields["content-type"] == "application/grpc")
            #expect(fields["grpc-status"] == "\(GRPCStatus(refusal).rawValue)")
            #expect(fields["grpc-message"] == "\(refusal.message)")
            #expect(fields["x-request-id"] == "01900000-abcd")
            #expect(fields["cache-control"] == "no-store" && fields["server"] == "sluice")
            #expect(fields["proxy-status"] == refusal.proxyStatus.map { "sluice; error=\($0)" })
            #expect(TrailersOnly.hasStatus(head.headers) == true)
            #expect(TrailersOnly.status(head.headers) == GRPCStatus(refusal))
        }
    }

    @Test func `a refusal without a request id leaves the field out`() {
        var head = ResponseHead()
        TrailersOnly.fill(&head, with: .noRoute, requestID: RawSpan())
        #expect(head.headers.firstIndex(of: .xRequestID) == nil)
    }

    @Test func `a refusal may end a call with another status than its own`() {
        var head = ResponseHead()
        TrailersOnly.fill(&head, with: .upstreamReset, status: .cancelled, requestID: RawSpan())
        #expect(TrailersOnly.status(head.headers) == .cancelled && head.headers.firstIndex(of: .proxyStatus) != nil)
    }

    @Test func `an answer that becomes the end of a call keeps its fields but for those that describe it`() {
        var head = ResponseHead()
        head.status = 403
        head.headers.addComposed(.contentType) { $0.append("text/html") }
        head.headers.addComposed(.cacheControl) { $0.append("public") }
        head.headers.addComposed(.server) { $0.append("x") }
        head.headers.addComposed(.retryAfter) { $0.append("5") }
        TrailersOnly.fill(&head, status: .permissionDenied, message: bytes("no").span.bytes)
        #expect(head.status == 200 && head.framing == .length(0) && head.declaredLength == 0)
        var lines: [String] = []
        for i in 0..<head.headers.count where !head.headers.fields[i].isRemoved {
            lines.append("\(text(head.headers.name(i))): \(text(head.headers.value(i)))")
        }
        #expect(
            lines.sorted() == [
                "cache-control: no-store", "content-type: application/grpc", "grpc-message: no", "grpc-status: 7",
                "retry-after: 5",
                "server: sluice",
            ])
    }

    @Test func `a long message fits a field`() {
        var headers = HeaderBlock()
        TrailersOnly.addFields(.unknown, message: [UInt8](repeating: 0, count: 100_000).span.bytes, to: &headers)
        #expect(headers.count == 2 && headers.value(1).byteCount <= 4096)
    }

    @Test(arguments: [
        ([], nil), (["grpc-message: x"], nil), (["Grpc-Status: 0"], GRPCStatus.ok), (["grpc-status: 14"], .unavailable),
        (["grpc-status: 16"], .unauthenticated), (["grpc-status: 17"], .unknown), (["grpc-status: 99"], .unknown),
        (["grpc-status: 100"], .unknown), (["grpc-status: "], .unknown), (["grpc-status: -1"], .unknown),
        (["grpc-status: 05"], .notFound), (["grpc-status: 99999999999999999999"], .unknown),
        (["x: y", "grpc-status: 5", "grpc-status: 0"], .notFound),
    ])
    func `a block tells how the call ended, or says nothing`(_ lines: [String], _ status: GRPCStatus?) {
        let headers = block(lines)
        #expect(TrailersOnly.status(headers) == status)
        #expect(TrailersOnly.hasStatus(headers) == (status != nil))
    }
}

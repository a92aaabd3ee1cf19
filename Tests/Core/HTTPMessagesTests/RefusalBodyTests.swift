import Foundation
import HTTPMessages
import Primitives
import Testing

@Suite struct RefusalBodyTests {
    private func body(
        _ refusal: Refusal, detail: [UInt8] = [], requestID: String = "01900000-abcd", _ format: RefusalBody.Format
    ) -> String {
        var buffer = ByteBuffer(capacity: 64)
        let id = Array(requestID.utf8)
        RefusalBody.write(refusal, detail: detail.span.bytes, requestID: id.span.bytes, format: format, into: &buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    @Test func `the JSON body has code, message, reason and request id`() {
        #expect(
            body(.noRoute, .json)
                == #"{"error":{"code":"NOT_FOUND","message":"Nothing is served at this address.","#
                + #""details":{"reason":"no_route"}},"request_id":"01900000-abcd"}"# + "\n")
    }

    @Test func `a detail is told, and a request that has no id yet has null`() {
        #expect(
            body(.badRequest, detail: Array("a line is folded".utf8), requestID: "", .json)
                == #"{"error":{"code":"INVALID_REQUEST","message":"The request is not valid HTTP.","#
                + #""details":{"reason":"bad_request","detail":"a line is folded"}},"request_id":null}"# + "\n")
    }

    @Test func `problem details have the members of RFC 9457 and ours`() {
        #expect(
            body(.connectTimeout, detail: Array("after 2 s".utf8), .problem)
                == #"{"type":"urn:sluice:error:connect_timeout","title":"Gateway Timeout","status":504,"#
                + #""detail":"The service did not accept the connection in time. after 2 s","#
                + #""instance":"urn:sluice:request:01900000-abcd","code":"UPSTREAM_TIMEOUT","reason":"connect_timeout","#
                + #""request_id":"01900000-abcd"}"# + "\n")
        #expect(!body(.noRoute, requestID: "", .problem).contains("instance"))
    }

    @Test func `a constant detail reads like one of bytes`() {
        var buffer = ByteBuffer(capacity: 64)
        RefusalBody.write(.badRequest, detail: "x" as StaticString, requestID: RawSpan(), format: .json, into: &buffer)
        #expect(String(decoding: buffer.bytes.array(), as: UTF8.self) == body(.badRequest, detail: [0x78], requestID: "", .json))
    }

    @Test func `whatever a client sends, both bodies stay JSON and short`() throws {
        var random = RandomSource(seed: 9457)
        for _ in 0..<2000 {
            let detail = (0..<Int.random(in: 0..<400, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            for format in [RefusalBody.Format.json, .problem] {
                let text = body(.badRequest, detail: detail, requestID: "a\"\\\r\n\u{1b}", format)
                #expect(text.utf8.count < 2200)
                #expect(text.utf8.dropLast().allSatisfy { $0 >= 0x20 })
                let parsed = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
                #expect(parsed?["request_id"] as? String == "a\"\\\r\n\u{1b}")
            }
        }
    }
}

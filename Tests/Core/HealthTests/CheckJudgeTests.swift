import Primitives
import Testing

@testable import Health

@Suite struct CheckJudgeTests {
    private func judge(
        _ expectation: CheckExpectation, status: UInt16 = 200, fields: [(String, String)] = [], body: [String] = []
    ) -> CheckJudge.Verdict {
        var judge = CheckJudge(expectation)
        if let verdict = judge.statusReceived(status) { return verdict }
        for (name, value) in fields {
            let (name, value) = (Array(name.utf8), Array(value.utf8))
            judge.fieldReceived(name: name.span.bytes, value: value.span.bytes)
        }
        if let verdict = judge.headEnded() { return verdict }
        for part in body {
            let bytes = Array(part.utf8)
            if let verdict = judge.bodyReceived(bytes.span.bytes) { return verdict }
        }
        return judge.responseEnded()
    }

    @Test func `200 to 399 pass where no status is expected, and only those that are named otherwise`() {
        for status in UInt16(200)...599 {
            #expect((judge(CheckExpectation(), status: status) == .passed) == (status < 400))
            let expected = judge(CheckExpectation(statuses: [204, 503]), status: status)
            #expect(expected == (status == 204 || status == 503 ? .passed : .failed(.status)))
        }
    }

    @Test func `a field that is expected must be there, with its value, in any case of its name`() {
        let expectation = CheckExpectation(field: .init(name: Array("X-Ready".utf8), value: Array("yes".utf8)))
        #expect(judge(expectation) == .failed(.field))
        #expect(judge(expectation, fields: [("x-ready", "no")]) == .failed(.field))
        #expect(judge(expectation, fields: [("x-read", "yes"), ("X-READY", "oh yes")]) == .passed)
        #expect(judge(CheckExpectation(field: .init(name: Array("a".utf8))), fields: [("A", "")]) == .passed)
    }

    @Test(arguments: 0..<50)
    func `a text in the body is found however the body is split, and not where it is not`(seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        let alphabet = ["a", "b"]
        let text = (0..<(1 + random.pick(6))).map { _ in alphabet[random.pick(2)] }.joined()
        let parts = (0..<20).map { _ in (0..<random.pick(4)).map { _ in alphabet[random.pick(2)] }.joined() }
        let whole = Array(parts.joined().utf8)
        let wanted = Array(text.utf8)
        let isThere =
            whole.count >= wanted.count
            && (0...(whole.count - wanted.count)).contains { Array(whole[$0..<($0 + wanted.count)]) == wanted }
        #expect((judge(CheckExpectation(body: wanted), body: parts) == .passed) == isThere, "\(text) in \(parts)")
    }

    @Test func `a text behind the first 64 KiB is not looked for, and the rest is not waited for`() {
        let filler = String(repeating: "x", count: 65_530)
        let expectation = CheckExpectation(body: Array("ready".utf8))
        #expect(judge(expectation, body: [filler, "ready"]) == .passed)
        #expect(judge(expectation, body: [filler, "xxready"]) == .failed(.body))
        var endless = CheckJudge(expectation)
        _ = endless.statusReceived(200)
        _ = endless.headEnded()
        let bytes = [UInt8](repeating: 0x78, count: 65_536)
        #expect(endless.bodyReceived(bytes.span.bytes) == .failed(.body))
    }

    @Test func `a check that gets garbage, nothing, or half a head fails, and its verdict stays`() {
        for fault in CheckJudge.Fault.allCases {
            var judge = CheckJudge(CheckExpectation())
            #expect(judge.gaveUp(fault) == .failed(fault))
            #expect(judge.statusReceived(200) == .failed(fault))
            #expect(judge.gaveUp(.timedOut) == .failed(fault))
        }
        var early = CheckJudge(CheckExpectation())
        #expect(early.headEnded() == .failed(.malformed))
        var cut = CheckJudge(CheckExpectation())
        _ = cut.statusReceived(200)
        #expect(cut.responseEnded() == .failed(.malformed))
        #expect(CheckJudge.connected == .passed)
    }
}

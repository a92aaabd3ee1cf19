import Primitives
import Testing

@testable import ProxyProtocol

/// What holds for both versions of the PROXY protocol (hardening 74).
@Suite struct ProxyHeaderTests {
    @Test(arguments: validHeaders.indices)
    func `a valid header is read to its last byte and not further`(_ index: Int) {
        let (bytes, client) = validHeaders[index]
        let expected = ProxyHeader.Outcome.header(consumed: bytes.count, client: client)
        #expect(parse(bytes) == expected)
        // What the client sends is none of the header's business, not even a second header.
        for behind in [Array("GET / HTTP/1.1\r\n".utf8), [0x16, 3, 1], [0], [0x0a], bytes] {
            #expect(parse(bytes + behind) == expected)
        }
    }

    @Test(arguments: validHeaders.indices)
    func `a header that comes in pieces is waited for and then read alike`(_ index: Int) {
        let bytes = validHeaders[index].bytes
        for count in 0..<bytes.count { #expect(parse(Array(bytes[..<count])) == .needMore, "\(count) bytes") }
    }

    @Test(arguments: validHeaders.indices)
    func `a changed byte is refused, or tells another client, and never moves the end of a line`(_ index: Int) {
        let bytes = validHeaders[index].bytes
        // All of what means something; behind it, an extension of two thousand bytes is like one of forty.
        for at in 0..<min(bytes.count, 64) {
            var changed = bytes
            for value in 0...255 as ClosedRange<UInt8> {
                changed[at] = value
                check(changed)
            }
        }
    }

    @Test func `random bytes are refused or waited for, and never read past their end`() {
        let seed: UInt64 = 0x0074_0074
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        var headers = 0
        for _ in 0..<60_000 {
            let valid = validHeaders[Int.random(in: 0..<validHeaders.count, using: &random)].bytes
            var bytes = Array(valid.prefix(300))
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes = (0..<Int.random(in: 0..<64, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            case 1:
                let kept = Int.random(in: 0...bytes.count, using: &random)
                let more = Int.random(in: 0..<40, using: &random)
                bytes = bytes[..<kept] + (0..<more).map { _ in UInt8.random(in: 0...255, using: &random) }
            case 2:
                for _ in 0..<Int.random(in: 1..<4, using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
                }
            default: bytes.remove(at: Int.random(in: 0..<bytes.count, using: &random))
            }
            if case .header = check(bytes) { headers += 1 }
        }
        #expect(headers > 1_000, "the dice must reach headers too: \(headers)")
    }

    @discardableResult
    private func check(_ bytes: [UInt8]) -> ProxyHeader.Outcome {
        let outcome = parse(bytes)
        switch outcome {
        case .needMore:
            if bytes.count >= ProxyHeader.bytesMax { Issue.record("more than the longest header is waited for: \(bytes)") }
        case .header(let consumed, _):
            guard consumed <= bytes.count else {
                Issue.record("more was consumed than there is: \(bytes)")
                break
            }
            if parse(Array(bytes[..<consumed])) != outcome || parse(Array(bytes[..<(consumed - 1)])) != .needMore {
                Issue.record("the header is not what was consumed: \(bytes)")
            }
        case .refused:
            if parse(bytes + [0x0d, 0x0a]) != outcome { Issue.record("the verdict changes with what follows: \(bytes)") }
        }
        return outcome
    }

    @Test(arguments: ["GET / HTTP/1.1\r\n", "\u{16}\u{3}\u{1}", "proxy TCP4 ", " PROXY", "\n", "\0", "PRI * HTTP/2.0\r\n\r\n"])
    func `a client without a header is refused at the first byte that shows it`(_ text: String) {
        #expect(parse(text) == .refused(.signature))
        let first = Array(text.utf8.prefix(1))
        #expect(parse(first) == (first == [0x50] ? .needMore : .refused(.signature)))
    }

    @Test func `no bytes are no verdict`() {
        #expect(parse([] as [UInt8]) == .needMore)
    }

    @Test func `a peer that never ends its header is refused before more is held than a header has`() {
        for valid in validHeaders {
            var bytes = Array(valid.bytes.prefix(14))
            for filler in [0x20, 0x41, 0xff, 0x0d, 0x3a, 0x31] as [UInt8] {
                bytes.append(contentsOf: [UInt8](repeating: filler, count: ProxyHeader.bytesMax - bytes.count))
                #expect(parse(bytes) != .needMore)
                bytes.removeLast(bytes.count - 14)
            }
        }
    }

    @Test func `every fault has a word of its own for metrics`() {
        let reasons = Set(ProxyHeaderFault.allCases.map { "\($0.reason)" })
        #expect(reasons.count == ProxyHeaderFault.allCases.count)
        for reason in reasons {
            #expect(reason.hasPrefix("proxy_"))
            #expect(reason.utf8.allSatisfy { $0 == ASCII.underscore || (0x61...0x7a).contains($0) })
        }
        for fault in ProxyHeaderFault.allCases { #expect("\(fault.message)".hasSuffix(".")) }
    }
}

import HTTPMessages
import Pipeline
import Primitives
import Testing

/// Whose request id counts (hardening 73, B.3).
@Suite struct RequestIDTests {
    private func id(
        _ given: String?..., peer: String = "10.0.0.1", name: String = "X-Request-ID",
        trust: Entrance.RequestIDTrust = .trustedPeers
    ) throws -> (id: String, left: [String]) {
        var head = request("GET / HTTP/1.1", "Host: a")
        for value in given.compactMap({ $0 }) {
            let nameBytes = bytes(name)
            let valueBytes = bytes(value)
            head.headers.add(FieldID(lowercasing: nameBytes.span.bytes), name: nameBytes.span.bytes, value: valueBytes.span.bytes)
        }
        var context = context(peer: peer)
        let entrance = Entrance(
            .init(
                trustedProxies: blocks("10.0.0.0/8"), pseudonym: bytes("s"), requestIDHeader: bytes(name), requestIDTrust: trust))
        try entrance.receive(&head, &context)
        return (text(context.requestID), fieldLines(head))
    }

    /// Whether it is a UUID of version 7 at the time of the tests.
    private func isMade(_ id: String) -> Bool {
        let parts = id.split(separator: "-").map(String.init)
        // 1,700,000,000,123 ms are 0x018bcfe5687b.
        return parts.map(\.count) == [8, 4, 4, 4, 12] && parts[0] == "018bcfe5" && parts[1] == "687b" && parts[2].first == "7"
            && "89ab".contains(parts[3].first ?? "x") && id.allSatisfy { "0123456789abcdef-".contains($0) }
    }

    @Test(arguments: ["01234567", "abc.DEF_ghi-9", String(repeating: "a", count: 128)])
    func `an id of the right form is taken over from a trusted peer and from nobody else`(_ given: String) throws {
        #expect(try id(given) == (given, ["Host: a"]))
        #expect(isMade(try id(given, peer: "198.51.100.7").id))
    }

    @Test(arguments: [
        "", "0123456", String(repeating: "a", count: 129), "0123456 8", "0123456\u{e4}8", "01234567,89", "a/b/c/d/e",
    ])
    func `an id of another form is replaced by a UUID of version 7`(_ given: String) throws {
        let found = try id(given)
        #expect(isMade(found.id))
        #expect(found.left == ["Host: a"])
    }

    @Test func `two ids are none`() throws {
        let found = try id("first-0123", "second-0123")
        #expect(isMade(found.id))
        #expect(found.left == ["Host: a"])
    }

    @Test func `the trust can be widened to everybody and withdrawn from all`() throws {
        #expect(try id("01234567", peer: "198.51.100.7", trust: .always).id == "01234567")
        #expect(isMade(try id("01234567", trust: .never).id))
    }

    @Test func `the field can have another name`() throws {
        #expect(try id("01234567", name: "X-Correlation-ID") == ("01234567", ["Host: a"]))
        let found = try id("01234567", peer: "198.51.100.7", name: "X-Correlation-ID")
        #expect(isMade(found.id))
        #expect(found.left == ["Host: a"])
    }

    @Test func `made ids sort by time and differ within one millisecond`() throws {
        var made = [String]()
        for step in 0..<200 as Range<UInt64> {
            var context = context()
            context.begin(
                at: Instant(nanoseconds: 0), unixNanoseconds: someTime + step / 100 * 1_000_000, seed: step, bodyLimit: 0,
                exchangeToken: 0)
            #expect(context.requestID.byteCount == 0)
            context.makeRequestID()
            made.append(text(context.requestID))
        }
        #expect(Set(made).count == 200)
        #expect(made[0..<100].allSatisfy { first in made[100...].allSatisfy { first < $0 } })
    }
}

import GRPC
import Primitives
import Testing

/// Hardening 115: lengths in messages are claims.
@Suite struct HealthMessageTests {
    private func request(_ service: String) -> [UInt8] {
        var out = ByteBuffer(capacity: 16)
        HealthMessage.appendRequest(service: bytes(service).span.bytes, to: &out)
        return out.bytes.array()
    }

    private func read(_ body: [UInt8]) throws(HealthMessageFault) -> ServingStatus {
        try HealthMessage.readResponse(body.span.bytes)
    }

    /// A message with its prefix.
    private func prefixed(_ message: [UInt8]) -> [UInt8] {
        [0] + (0..<4).map { UInt8(truncatingIfNeeded: message.count >> (24 - 8 * $0)) } + message
    }

    @Test func `a request holds the service behind its prefix`() {
        #expect(request("") == [0, 0, 0, 0, 0])
        #expect(request("abc") == [0, 0, 0, 0, 5, 0x0a, 3] + bytes("abc"))
        let long = String(repeating: "s", count: 300)
        #expect(request(long) == [0, 0, 0, 1, 47, 0x0a, 0xac, 2] + bytes(long))
        #expect(request(String(repeating: "s", count: 127))[5...6] == [0x0a, 127])
        #expect(request(String(repeating: "s", count: 128))[5...7] == [0x0a, 0x80, 1])
    }

    @Test(
        arguments: [
            ([], ServingStatus.unknown), ([0x08, 0], .unknown), ([0x08, 1], .serving), ([0x08, 2], .notServing),
            ([0x08, 3], .serviceUnknown), ([0x08, 4], .unknown), ([0x08, 0xff, 1], .unknown),
            // The number in more bytes than it needs; a negative one; one whose low 32 bits are 1.
            ([0x08, 0x81, 0x80, 0], .serving), ([0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], .unknown),
            ([0x08, 0x81, 0x80, 0x80, 0x80, 0x10], .serving),
            // The last one counts.
            ([0x08, 1, 0x08, 2], .notServing), ([0x08, 2, 0x08, 1], .serving),
            // Fields that are not known, of each kind, before and behind.
            ([0x10, 7, 0x08, 1], .serving), ([0x08, 1, 0x12, 2, 8, 2], .serving),
            ([0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x08, 1], .serving),
            ([0x1d, 1, 2, 3, 4, 0x08, 1], .serving), ([0x12, 0, 0x08, 1], .serving),
            ([0xf8, 0xff, 0xff, 0xff, 0x0f, 0, 0x08, 1], .serving),
            // Field 1 of another kind is another field.
            ([0x0a, 1, 1, 0x08, 1], .serving), ([0x0a, 2, 8, 1], .unknown),
        ] as [([UInt8], ServingStatus)])
    func `a response says how the service is, whatever else is in it`(_ message: [UInt8], _ status: ServingStatus) throws {
        #expect(try read(prefixed(message)) == status)
    }

    @Test(
        arguments: [
            [0x08], [0x08, 0x80], [0x08] + [UInt8](repeating: 0x80, count: 11), [0x08] + [UInt8](repeating: 0xff, count: 9) + [2],
            [0x80], [0x00, 1], [0x02, 1, 1], [0x0b], [0x0c], [0x0e, 1], [0x0f], [0x12], [0x12, 1],
            [0x12, 0xff, 0xff, 0xff, 0xff, 0x0f],
            [0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], [0x19, 1, 2, 3], [0x1d, 1, 2, 3],
            [0x88, 0x80, 0x80, 0x80, 0x10, 1], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] as [[UInt8]])
    func `a message that is none is malformed`(_ message: [UInt8]) {
        #expect(throws: HealthMessageFault.malformed) { try read(prefixed(message)) }
    }

    @Test(
        arguments: [
            ([], HealthMessageFault.truncated), ([0], .truncated), ([0, 0, 0, 0], .truncated), ([0, 0, 0, 0, 2], .truncated),
            ([0, 0, 0, 0, 2, 8], .truncated), ([0, 0, 0, 0, 2, 8, 1, 0], .surplus), ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], .surplus),
            ([1, 0, 0, 0, 2, 8, 1], .compressed), ([2, 0, 0, 0, 2, 8, 1], .malformed),
            ([0, 0xff, 0xff, 0xff, 0xff], .tooLong), ([0, 0xff, 0xff, 0xff, 0xff, 8, 1], .tooLong),
            ([0, 0, 0, 0x10, 1], .tooLong),
            ([0, 0, 0, 0x10, 0], .truncated), ([UInt8](repeating: 0, count: 4097), .tooLong),
        ] as [([UInt8], HealthMessageFault)])
    func `a prefix that does not fit its body is a fault`(_ body: [UInt8], _ fault: HealthMessageFault) {
        #expect(throws: fault) { try read(body) }
    }

    @Test func `a response cut anywhere is a fault and never another status`() {
        let whole = prefixed([0x12, 3, 1, 2, 3, 0x08, 1])
        for count in 0..<whole.count { #expect(throws: HealthMessageFault.truncated) { try read(Array(whole[..<count])) } }
    }

    @Test func `random messages end in a status or a fault`() {
        var random = RandomSource(seed: 5)
        for _ in 0..<20_000 {
            let message = (0..<Int(random.below(24))).map { _ in UInt8(truncatingIfNeeded: random.next() >> random.below(6)) }
            do {
                _ = try read(prefixed(message))
            } catch {
                #expect(error == .malformed)
            }
        }
    }
}

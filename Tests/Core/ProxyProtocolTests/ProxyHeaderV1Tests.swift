import Primitives
import Testing

@testable import ProxyProtocol

/// Lines of version 1 that are refused, and where (hardening 74; proxy-protocol.txt §2.1).
@Suite struct ProxyHeaderV1Tests {
    @Test(
        arguments: [
            ("PROXY TCP5", .unknownProtocol), ("PROXY UD", .unknownProtocol), ("PROXY  ", .unknownProtocol),
            ("PROXY t", .unknownProtocol), ("PROXY UNKNOWNX", .unknownProtocol), ("PROXY TCP4\t", .unknownProtocol),
            ("PROXY TCP4\r", .unknownProtocol), ("PROXY\t", .signature), ("PROXY\r", .signature), ("PROXYX", .signature),
            ("PROXY UNKNOWN\n", .lineEnd), ("PROXY UNKNOWN \n", .lineEnd), ("PROXY UNKNOWN\rX", .lineEnd),
            ("PROXY UNKNOWN a\r\r", .lineEnd),
            // One space, and nothing else.
            ("PROXY TCP4  ", .address), ("PROXY TCP4 1.2.3.4  ", .address), ("PROXY TCP4 1.2.3.4\t", .address),
            ("PROXY TCP4 1.2.3.4 5.6.7.8  ", .port), ("PROXY TCP4 1.2.3.4 5.6.7.8 1  ", .port),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ", .port), ("PROXY TCP4 1.2.3.4\r", .address),
            ("PROXY TCP4 1.2.3.4 5.6.7.8\r", .address),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1\r", .port),
            // Addresses.
            ("PROXY TCP4 256", .address), ("PROXY TCP4 1.2.3.4.", .address), ("PROXY TCP4 01", .address),
            ("PROXY TCP4 .", .address),
            ("PROXY TCP4 1..", .address), ("PROXY TCP4 1.2.3 ", .address), ("PROXY TCP4 1.2.3.4/", .address),
            ("PROXY TCP4 a", .address), ("PROXY TCP4 -", .address), ("PROXY TCP4 :", .address), ("PROXY TCP4 1:", .address),
            ("PROXY TCP6 1.", .address), ("PROXY TCP6 f:1.", .address), ("PROXY TCP6 12345", .address),
            ("PROXY TCP6 g", .address),
            ("PROXY TCP6 :1", .address), ("PROXY TCP6 :.", .address), ("PROXY TCP6 :::", .address), ("PROXY TCP6 1:::", .address),
            ("PROXY TCP6 1::2::", .address), ("PROXY TCP6 1:2:3:4:5:6:7:8:", .address), ("PROXY TCP6 ::2:3:4:5:6:7:8:", .address),
            ("PROXY TCP6 1:2:3:4:5:6:7:8 1:2:3:4:5:6:7:8:", .address), ("PROXY TCP6 1::2:3:4:5:6:7:", .address),
            ("PROXY TCP6 1:2:3:4:5:6:7::8", .address), ("PROXY TCP6 1:2:3:4:5:6:7 ", .address), ("PROXY TCP6 1: ", .address),
            ("PROXY TCP6 [", .address), ("PROXY TCP6 ::1%", .address), ("PROXY TCP6 ::256.", .address),
            ("PROXY TCP6 ::f.", .address),
            ("PROXY TCP6 1:2:3:4:5:6:7:8.", .address), ("PROXY TCP6 1:2:3:4:5:1.", .address),
            ("PROXY TCP6 ::1:2:3:4:5:6:1.", .address),
            ("PROXY TCP6 ::1.2.3.4:", .address), ("PROXY TCP6 ::1.2.3 ", .address), ("PROXY TCP4 1.2.3.4 :", .address),
            ("PROXY TCP6 ::1 1.", .address),
            // Ports.
            ("PROXY TCP4 1.2.3.4 5.6.7.8 65536", .port), ("PROXY TCP4 1.2.3.4 5.6.7.8 00", .port),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 01", .port), ("PROXY TCP4 1.2.3.4 5.6.7.8 -", .port),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 +", .port),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 x", .port), ("PROXY TCP4 1.2.3.4 5.6.7.8 99999999999999999999", .port),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536", .port), ("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r", .port),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 0x", .port),
            // The end.
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", .lineEnd), ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\r", .lineEnd),
            ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX", .lineEnd),
        ] as [(String, ProxyHeaderFault)])
    func `a line is refused at its first byte that no header can have there`(_ text: String, _ fault: ProxyHeaderFault) {
        let bytes = Array(text.utf8)
        #expect(parse(bytes) == .refused(fault))
        #expect(parse(bytes + Array("anything".utf8)) == .refused(fault))
        // Not earlier, unless a number is wrong before it ends.
        if !text.contains("9999") { #expect(parse(Array(bytes.dropLast())) == .needMore) }
    }

    @Test func `a line of 107 bytes is read and one of 108 is refused at the 106th`() {
        let longest = "PROXY UNKNOWN " + String(repeating: "x", count: 91)
        #expect(parse(longest + "\r\n") == .header(consumed: 107, client: .ofPeer))
        #expect(parse(longest) == .needMore)
        #expect(parse(longest + "\r") == .needMore)
        #expect(parse(longest + "x") == .refused(.lineTooLong))
        #expect(parse(longest + "x\r\n") == .refused(.lineTooLong))
        // Found by the fuzzer: the next byte is not asked for another reason.
        #expect(parse(longest + "x\n") == .refused(.lineTooLong))
        let mixed = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"
        #expect(parse("PROXY TCP6 \(mixed) \(mixed) 65535 65535\r\n") == .refused(.lineTooLong))
        #expect(
            parse("PROXY TCP6 \(mixed) ::1 65535 65535\r\n")
                == .header(
                    consumed: 74, client: .address(IPAddress(high: .max, low: 0xffff_ffff_ffff_ffff), port: 65_535)))
    }

    /// The verdict on a prefix must be that of all its continuations: tried with every text up to a length over few letters.
    @Test(arguments: ["PROXY TCP6 ", "PROXY TCP6 1:2:3:4:", "PROXY TCP6 1::4:5:6:", "PROXY TCP6 ::"])
    func `an address is waited for exactly as long as it can still become one`(_ start: String) {
        let letters = Array("1:.".utf8)
        var texts: [[UInt8]] = [[]]
        for _ in 0..<7 { texts = texts.flatMap { text in letters.map { text + [$0] } } }
        var possible = Set<[UInt8]>()
        for text in texts + texts.flatMap({ [$0 + Array(".1.1".utf8), $0 + Array("1.1.1".utf8), $0 + Array(":1:1:1:1".utf8)] }) {
            for count in 0...text.count {
                let address = Array(start.utf8.dropFirst(11)) + text[..<count]
                if address.contains(ASCII.colon), IPAddress(address.span.bytes) != nil {
                    for k in 0...min(count, 4) { possible.insert(Array(text[..<k])) }
                }
            }
        }
        #expect(possible.count > 4)
        var tried = Set<[UInt8]>()
        for text in texts {
            for count in 0...4 where tried.insert(Array(text[..<count])).inserted {
                let isWaited = parse(Array(start.utf8) + text[..<count]) == .needMore
                #expect(
                    isWaited == possible.contains(Array(text[..<count])),
                    "\(start)\(String(decoding: text[..<count], as: UTF8.self))")
            }
        }
    }
}

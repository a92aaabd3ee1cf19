import Primitives
import Testing

@Suite struct IPAddressTests {
    @Test func `addresses are read and written in their one form`() {
        let table = [
            ("1.2.3.4", "1.2.3.4"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"), ("::1", "::1"),
            ("1::", "1::"), ("2001:DB8::0001", "2001:db8::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("::ffff:1.2.3.4", "1.2.3.4"), ("::ffff:102:304", "1.2.3.4"),
            ("::1.2.3.4", "::102:304"),
            ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("fe80::1:0:0:0", "fe80::1:0:0:0"), ("1:0:0:2::", "1:0:0:2::"),
        ]
        for (text, expected) in table { #expect(IPAddress(text)?.text == expected, "\(text)") }
    }

    @Test func `what is no address is none`() {
        for text in [
            "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1..2.3", ".1.2.3", "1.2.3.", "1.2.3.4 ",
            "a.b.c.d", "+1.2.3.4",
            ":", ":::", "1:::2", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "1:", ":1", "::1%eth0",
            "[::1]",
            "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "1.2.3.4::", "::ffff:1.2.3.4:5", "::1.2.3.4.5", "1:2:3:4:5:6:7:8::",
            "::1:2:3:4:5:6:7:8",
            String(repeating: "0", count: 50) + "::",
        ] { #expect(IPAddress(text) == nil, "\(text)") }
    }

    @Test func `random addresses are read as they were written`() {
        var random = RandomSource(seed: 6)
        for _ in 0..<20_000 {
            let mask: UInt64 = [UInt64.max, 0xffff_0000_0000_ffff, 0x0000_ffff_ffff_0000, 0][Int(random.next() % 4)]
            let address = IPAddress(high: random.next() & mask, low: random.next() & ~mask)
            #expect(IPAddress(address.text) == address)
            let v4 = IPAddress(v4: UInt32(truncatingIfNeeded: random.next()))
            #expect(v4.isV4 && IPAddress(v4.text) == v4)
        }
    }

    @Test func `random text is read without a trap`() {
        var random = RandomSource(seed: 66)
        let alphabet = Array("0123456789abcf:::...%g".utf8)
        for _ in 0..<50_000 {
            let text = (0..<Int(random.next() % 24)).map { _ in alphabet[Int(random.next() % UInt64(alphabet.count))] }
            if let address = IPAddress(text.span.bytes) { #expect(IPAddress(address.text) == address) }
        }
    }

    @Test func `IPv6 clients are counted by their 64 leading bits and IPv4 clients by address`() {
        #expect(IPAddress("2001:db8::1")?.countingKey == IPAddress("2001:db8::ffff")?.countingKey)
        #expect(IPAddress("2001:db8::1")?.countingKey != IPAddress("2001:db8:0:1::1")?.countingKey)
        #expect(IPAddress("1.2.3.4")?.countingKey != IPAddress("1.2.3.5")?.countingKey)
    }

    @Test func `a block holds its addresses and no others`() {
        let table: [(String, [String], [String])] = [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1"], ["11.0.0.0", "9.255.255.255", "::a00:1"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.1.2.3"], ["::1", "2001:db8::1"]), ("127.0.0.1", ["127.0.0.1"], ["127.0.0.2"]),
            ("127.0.0.1/32", ["127.0.0.1"], ["127.0.0.0"]), ("2001:db8::/32", ["2001:db8:ffff::1"], ["2001:db9::"]),
            ("::/0", ["::", "1.2.3.4", "ffff::"], []), ("::1/128", ["::1"], ["::2"]),
            ("fe80::/64", ["fe80::1"], ["fe80:0:0:1::"]),
            ("2001:db8::8000:0:0:0/65", ["2001:db8:0:0:8000::1"], ["2001:db8::1"]),
        ]
        for (text, inside, outside) in table {
            guard let block = AddressBlock(text) else {
                Issue.record("\(text) is no block")
                continue
            }
            for address in inside.compactMap({ IPAddress($0) }) { #expect(block.contains(address), "\(text) \(address.text)") }
            for address in outside.compactMap({ IPAddress($0) }) { #expect(!block.contains(address), "\(text) \(address.text)") }
        }
    }

    @Test func `what is no block is none`() {
        for text in [
            "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.1/8", "::1/64",
            "::/129", "::/1000",
            "10.0.0.0/8 ", "10.0.0/8", "a/8",
        ] { #expect(AddressBlock(text) == nil, "\(text)") }
    }
}

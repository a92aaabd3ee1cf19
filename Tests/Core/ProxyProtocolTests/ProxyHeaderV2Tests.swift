import Primitives
import Testing

@testable import ProxyProtocol

/// Headers of version 2 that are refused, and where (hardening 74; proxy-protocol.txt §2.2).
@Suite struct ProxyHeaderV2Tests {
    /// The header is refused as soon as `count` of its bytes are there, and not before.
    private func expectRefused(_ bytes: [UInt8], _ fault: ProxyHeaderFault, at count: Int) {
        #expect(parse(bytes) == .refused(fault))
        #expect(parse(Array(bytes[..<count])) == .refused(fault))
        #expect(parse(Array(bytes[..<(count - 1)])) == .needMore)
    }

    @Test(arguments: 0..<12) func `a signature with another byte is refused there`(_ at: Int) {
        var bytes = header2()
        bytes[at] ^= 0x20
        if at == 0 {
            #expect(parse(Array(bytes[..<1])) == .refused(.signature))
        } else {
            expectRefused(bytes, .signature, at: at + 1)
        }
    }

    @Test func `only version 2 with LOCAL or PROXY is read`() {
        for value in 0...255 as ClosedRange<UInt8> {
            let bytes = header2(value)
            switch value {
            case 0x20: #expect(parse(bytes) == .header(consumed: 28, client: .ofPeer))
            case 0x21:
                #expect(parse(bytes) == .header(consumed: 28, client: .address(IPAddress(v4: 0xc000_0201), port: 40_000)))
            default: expectRefused(bytes, value >> 4 == 2 ? .command : .version, at: 13)
            }
        }
    }

    @Test func `of all pairs of family and transport the four of streams are read`() {
        for value in 0...255 as ClosedRange<UInt8> {
            let bytes = header2(0x21, value, [UInt8](repeating: 0, count: 216))
            switch value {
            case 0x00: #expect(parse(bytes) == .header(consumed: 232, client: .ofPeer))
            case 0x11: #expect(parse(bytes) == .header(consumed: 232, client: .address(IPAddress(v4: 0), port: 0)))
            case 0x21: #expect(parse(bytes) == .header(consumed: 232, client: .address(IPAddress(high: 0, low: 0), port: 0)))
            case 0x31: #expect(parse(bytes) == .header(consumed: 232, client: .ofPeer))
            case 0x12, 0x22, 0x32: expectRefused(bytes, .datagram, at: 14)
            default: expectRefused(bytes, .family, at: 14)
            }
        }
    }

    @Test func `LOCAL skips what follows, whatever its family`() {
        for value in 0...255 as ClosedRange<UInt8> {
            #expect(parse(header2(0x20, value, [1, 2, 3, 4, 5])) == .header(consumed: 21, client: .ofPeer))
        }
    }

    @Test(arguments: [(0x11, 12), (0x21, 36), (0x31, 216)] as [(UInt8, Int)])
    func `a length without room for the addresses is refused`(_ family: UInt8, _ needed: Int) {
        for length in 0..<needed {
            expectRefused(
                header2(0x21, family, [UInt8](repeating: 0, count: 232), length: length), .addressMissing, at: 16)
        }
        guard case .header(needed + 16, _) = parse(header2(0x21, family, [UInt8](repeating: 9, count: needed))) else {
            Issue.record("the addresses alone are a header")
            return
        }
    }

    @Test func `every length is waited for to its end or refused with its own bytes`() {
        for length in 0...65_535 {
            for command in [0x20, 0x21] as [UInt8] {
                let bytes = header2(command, 0x00, [], length: length)
                if length > 2048 {
                    #expect(parse(bytes) == .refused(.tooLong))
                    // From 0x0900 on, the first of the two bytes says it.
                    if length >= 0x0900 { #expect(parse(Array(bytes.dropLast())) == .refused(.tooLong)) }
                } else if length == 0 {
                    #expect(parse(bytes) == .header(consumed: 16, client: .ofPeer))
                } else if command == 0x21, length < 3 {
                    #expect(parse(bytes) == .refused(.extensionLength))
                } else {
                    #expect(parse(bytes) == .needMore)
                }
            }
        }
    }

    @Test func `extensions fill the header to the byte or are refused when their length is known`() {
        let whole = addresses4 + extensionField(1, [1, 2]) + extensionField(2, [3, 4, 5])
        for length in 0...0x120 {
            var bytes = header2(0x21, 0x11, whole)
            bytes[16 + 12 + 5 + 1] = UInt8(length >> 8)
            bytes[16 + 12 + 5 + 2] = UInt8(length & 255)
            switch length {
            case 3: #expect(parse(bytes) == .header(consumed: bytes.count, client: validHeaders[0].client))
            // With none, the three bytes behind it are read as one of type 3 that is far too long.
            default: #expect(parse(bytes) == .refused(.extensionLength))
            }
            // The same verdict before the values are there.
            if length > 3 { #expect(parse(Array(bytes[..<(16 + 12 + 5 + 3)])) == .refused(.extensionLength)) }
        }
        for rest in 1...2 {
            let bytes = header2(0x21, 0x11, whole + [UInt8](repeating: 4, count: rest))
            #expect(parse(bytes) == .refused(.extensionLength))
        }
    }

    @Test func `a length that is one off is no header together with what the client says`() {
        // A header cut short must not leave its last bytes to the request, nor take the request's first.
        let request = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        let block = addresses4 + extensionField(1, Array("http/1.1".utf8))
        for length in 0...(block.count + request.count) where length != block.count && length != 12 {
            let bytes = header2(0x21, 0x11, block, length: length) + request
            let isRefused = if case .refused = parse(bytes) { true } else { false }
            #expect(isRefused, "\(length)")
        }
    }

    @Test func `a checksum that fits is read, and any other one refused`() {
        #expect(ProxyHeader.crc32c(Array("123456789".utf8).span.bytes, zeroing: 0..<0) == 0xe306_9283)
        let zeros = header2(0x21, 0x11, addresses4 + extensionField(3, [0, 0, 0, 0]))
        #expect(parse(zeros) == .refused(.checksum))
        let valid = withChecksum(zeros, at: 31)
        guard case .header = parse(valid) else {
            Issue.record("a valid checksum is refused")
            return
        }
        // Of each byte that is read for its value alone, each bit counts.
        for at in Array(16..<28) + Array(31..<35) {
            for bit in 0..<8 {
                var bytes = valid
                bytes[at] ^= 1 << UInt8(bit)
                #expect(parse(bytes) == .refused(.checksum))
            }
        }
        for at in valid.indices.dropLast() { #expect(parse(Array(valid[...at])) == .needMore) }
    }

    @Test func `a checksum of another length, or a second one, is refused when it is seen`() {
        for count in [0, 1, 3, 5, 8] {
            let bytes = header2(0x21, 0x11, addresses4 + extensionField(3, [UInt8](repeating: 0, count: count)))
            expectRefused(bytes, .checksum, at: 31)
        }
        let twice = header2(
            0x21, 0x11, addresses4 + extensionField(3, [0, 0, 0, 0]) + extensionField(3, [0, 0, 0, 0]))
        expectRefused(twice, .checksum, at: 38)
    }
}

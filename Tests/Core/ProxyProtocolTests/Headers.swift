import Primitives
import ProxyProtocol

/// What the tests of this target share: headers put together byte by byte.

func parse(_ bytes: [UInt8]) -> ProxyHeader.Outcome { ProxyHeader.parse(bytes.span.bytes) }

func parse(_ text: String) -> ProxyHeader.Outcome { parse(Array(text.utf8)) }

let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

/// 192.0.2.1:40000 to 198.51.100.2:443.
let addresses4: [UInt8] = [192, 0, 2, 1, 198, 51, 100, 2, 0x9c, 0x40, 0x01, 0xbb]

/// [2001:db8::1]:40000 to [2001:db8::2]:443.
let addresses6: [UInt8] =
    [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1, 0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11)
    + [2, 0x9c, 0x40, 0x01, 0xbb]

/// A header of version 2; the length is that of the block unless another is given.
func header2(_ command: UInt8 = 0x21, _ family: UInt8 = 0x11, _ block: [UInt8] = addresses4, length: Int? = nil) -> [UInt8] {
    let length = length ?? block.count
    return signature + [command, family, UInt8(truncatingIfNeeded: length >> 8), UInt8(truncatingIfNeeded: length)] + block
}

func extensionField(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
    [type, UInt8(truncatingIfNeeded: value.count >> 8), UInt8(truncatingIfNeeded: value.count)] + value
}

/// The header with a valid checksum in the four zeros of its CRC32C extension; worked out by division, bit by bit from the top, so
/// otherwise than the parser does.
func withChecksum(_ header: [UInt8], at offset: Int) -> [UInt8] {
    var crc: UInt32 = .max
    for byte in header {
        for bit in 0..<8 {
            let isSet = (crc >> 31 == 1) != (byte >> UInt8(bit) & 1 == 1)
            crc = crc << 1 ^ (isSet ? 0x1edc_6f41 : 0)
        }
    }
    var reversed: UInt32 = 0
    for bit in 0..<32 where ~crc >> UInt32(bit) & 1 == 1 { reversed |= 1 << UInt32(31 - bit) }
    var result = header
    for i in 0..<4 { result[offset + i] = UInt8(truncatingIfNeeded: reversed >> UInt32(24 - 8 * i)) }
    return result
}

/// Valid headers of all kinds, with the client that each tells.
let validHeaders: [(bytes: [UInt8], client: ProxyHeader.Client)] = {
    let v4 = ProxyHeader.Client.address(IPAddress(v4: 0xc000_0201), port: 40_000)
    let v6 = ProxyHeader.Client.address(IPAddress(high: 0x2001_0db8_0000_0000, low: 1), port: 40_000)
    let checksum = withChecksum(header2(0x21, 0x11, addresses4 + extensionField(3, [0, 0, 0, 0])), at: 31)
    let last = extensionField(1, Array("h2".utf8)) + extensionField(4, [0, 0, 0]) + extensionField(3, [0, 0, 0, 0])
    let lastChecksum = withChecksum(header2(0x21, 0x21, addresses6 + last), at: 16 + 36 + last.count - 4)
    return [
        (Array("PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n".utf8), v4),
        (Array("PROXY TCP6 2001:db8::1 2001:db8::2 40000 443\r\n".utf8), v6),
        (Array("PROXY TCP6 ::ffff:192.0.2.1 ::1 40000 0\r\n".utf8), v4),
        (Array("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n".utf8), .address(IPAddress(v4: 0), port: 0)),
        (
            Array(
                ("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n")
                    .utf8),
            .address(IPAddress(high: .max, low: .max), port: 65_535)
        ),
        (Array("PROXY UNKNOWN\r\n".utf8), .ofPeer),
        (Array("PROXY UNKNOWN ffff::1 whatever \t\0 1 2\r\n".utf8), .ofPeer),
        (Array(("PROXY UNKNOWN " + String(repeating: "x", count: 91) + "\r\n").utf8), .ofPeer),
        (header2(), v4),
        (header2(0x21, 0x21, addresses6), v6),
        (header2(0x21, 0x31, [UInt8](repeating: 0x2f, count: 216)), .ofPeer),
        (header2(0x21, 0x00, []), .ofPeer),
        (header2(0x21, 0x00, extensionField(2, Array("a.example".utf8))), .ofPeer),
        (header2(0x20, 0x00, []), .ofPeer),
        // What LOCAL brings along is skipped unread.
        (header2(0x20, 0xff, [1, 2, 3]), .ofPeer),
        (header2(0x20, 0x11, []), .ofPeer),
        (header2(0x21, 0x11, addresses4 + extensionField(4, [])), v4),
        (header2(0x21, 0x11, addresses4 + extensionField(0xee, [1]) + extensionField(0xee, [2, 3])), v4),
        (header2(0x21, 0x11, addresses4 + extensionField(4, [UInt8](repeating: 7, count: 2048 - 15))), v4),
        (checksum, v4),
        (lastChecksum, v6),
    ]
}()

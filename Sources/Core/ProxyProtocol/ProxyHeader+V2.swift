import Primitives

/// Version 2: a signature, four bytes about what follows, addresses, extensions (proxy-protocol.txt §2.2).
///
///      0 … 11   signature
///     12        version 2 in the upper four bits, the command in the lower: 0 LOCAL, 1 PROXY
///     13        address family in the upper four bits, transport in the lower
///     14 … 15   bytes that follow
///     16 …      source and destination address, source and destination port; then extensions of type, length (2), value
extension ProxyHeader {
    static var v2FirstByte: UInt8 { ASCII.cr }
    static var v2FixedBytes: Int { 16 }
    /// What senders add (a name, a certificate's subject, an id) takes a few hundred bytes.
    static var v2BlockBytesMax: Int { 2048 }
    private static var signature: StaticString { "\r\n\r\n\0\r\nQUIT\n" }
    private static var checksumType: UInt8 { 0x03 }

    /// What stands between the fixed part and the extensions.
    private enum Addresses {
        case none, v4, v6, unix

        var byteCount: Int {
            switch self {
            case .none: 0
            case .v4: 12
            case .v6: 36
            case .unix: 216
            }
        }
    }

    private enum Command {
        case local
        case proxy
    }

    static func parseV2(_ bytes: RawSpan) -> Outcome {
        guard let isSigned = stands(signature, in: bytes, at: 0) else { return .needMore }
        guard isSigned else { return .refused(.signature) }
        guard bytes.byteCount > 12 else { return .needMore }
        guard bytes[12] >> 4 == 2 else { return .refused(.version) }
        let command: Command
        switch bytes[12] & 15 {
        case 0: command = .local
        case 1: command = .proxy
        default: return .refused(.command)
        }
        guard bytes.byteCount > 13 else { return .needMore }
        let addresses: Addresses
        do {
            addresses = try readFamily(bytes[13], command)
        } catch {
            return .refused(error)
        }
        guard bytes.byteCount >= v2FixedBytes else {
            // The upper half of a length is enough to know that it is too much.
            let isTooLong = bytes.byteCount > 14 && Int(bytes[14]) << 8 > v2BlockBytesMax
            return isTooLong ? .refused(.tooLong) : .needMore
        }
        let blockCount = Int(bytes[14]) << 8 | Int(bytes[15])
        guard blockCount <= v2BlockBytesMax else { return .refused(.tooLong) }
        let end = v2FixedBytes + blockCount
        let header = bytes.extracting(0..<min(bytes.byteCount, end))
        switch command {
        case .local:
            // All of the block is to be skipped, whatever it holds: the proxy speaks for itself.
            return header.byteCount == end ? .header(consumed: end, client: .ofPeer) : .needMore
        case .proxy:
            guard addresses.byteCount <= blockCount else { return .refused(.addressMissing) }
            do {
                try checkExtensions(header, from: v2FixedBytes + addresses.byteCount, end: end)
            } catch {
                return .refused(error)
            }
            guard header.byteCount == end else { return .needMore }
            return .header(consumed: end, client: client(header, addresses))
        }
    }

    /// The seven pairs that are defined; a connection that shows another is to be dropped. `LOCAL` makes them mean nothing.
    private static func readFamily(_ byte: UInt8, _ command: Command) throws(ProxyHeaderFault) -> Addresses {
        if case .local = command { return .none }
        switch byte {
        case 0x00: return .none
        case 0x11: return .v4
        case 0x21: return .v6
        case 0x31: return .unix
        case 0x12, 0x22, 0x32: throw .datagram
        default: throw .family
        }
    }

    /// The source of the addresses; the caller has seen that all of them are there.
    private static func client(_ header: RawSpan, _ addresses: Addresses) -> Client {
        let first = v2FixedBytes
        switch addresses {
        case .none, .unix: return .ofPeer
        case .v4:
            let address = UInt32(truncatingIfNeeded: number(header, first, 4))
            return .address(IPAddress(v4: address), port: UInt16(truncatingIfNeeded: number(header, first + 8, 2)))
        case .v6:
            let address = IPAddress(high: number(header, first, 8), low: number(header, first + 8, 8))
            return .address(address, port: UInt16(truncatingIfNeeded: number(header, first + 32, 2)))
        }
    }

    /// Walks over the extensions as far as they have come. They fill the rest of the header to the byte: what stood over would be
    /// read as the client's by somebody.
    private static func checkExtensions(_ header: RawSpan, from start: Int, end: Int) throws(ProxyHeaderFault) {
        var offset = start
        var checksum: Int?
        while offset < end {
            guard offset + 3 <= end else { throw .extensionLength }
            guard offset + 3 <= header.byteCount else { return }
            let type = header[offset]
            let value = offset + 3
            let next = value + Int(number(header, offset + 1, 2))
            guard next <= end else { throw .extensionLength }
            if type == checksumType {
                guard checksum == nil, next - value == 4 else { throw .checksum }
                checksum = value
            }
            offset = next
        }
        guard let checksum, header.byteCount == end else { return }
        guard crc32c(header, zeroing: checksum..<(checksum + 4)) == UInt32(truncatingIfNeeded: number(header, checksum, 4))
        else { throw .checksum }
    }

    /// The number of `count` bytes at `offset` in network order; the caller has seen that they are there.
    private static func number(_ bytes: RawSpan, _ offset: Int, _ count: Int) -> UInt64 {
        var result: UInt64 = 0
        for i in offset..<(offset + count) { result = result << 8 | UInt64(bytes[i]) }
        return result
    }

    /// CRC-32C (RFC 3720 §12.1) over the bytes, with zeros in place of those of `zeroing`. Bit by bit: it is asked for once a
    /// connection, over a hundred bytes or so, and a table would be memory for every process.
    static func crc32c(_ bytes: RawSpan, zeroing: Range<Int>) -> UInt32 {
        var crc: UInt32 = .max
        for i in 0..<bytes.byteCount {
            crc ^= zeroing.contains(i) ? 0 : UInt32(bytes[i])
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 0 ? 0 : 0x82f6_3b78) }
        }
        return ~crc
    }
}

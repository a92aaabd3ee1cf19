import Primitives

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.2 40000 443` and CRLF (proxy-protocol.txt §2.1).
extension ProxyHeader {
    static var v1FirstByte: UInt8 { UInt8(ascii: "P") }
    /// The longest line that the protocol allows, CRLF among it.
    static var v1BytesMax: Int { 107 }

    /// Why reading a line stopped before its end.
    private enum Stop: Error {
        case needMore
        case fault(ProxyHeaderFault)
    }

    static func parseV1(_ bytes: RawSpan) -> Outcome {
        // Where the last byte but one is no CR, no byte behind it may change the verdict.
        let isEnding = bytes.byteCount < v1BytesMax || bytes[v1BytesMax - 2] == ASCII.cr
        let line = bytes.extracting(0..<min(bytes.byteCount, isEnding ? v1BytesMax : v1BytesMax - 1))
        do throws(Stop) {
            return try readLine(line)
        } catch {
            switch error {
            case .fault(let fault): return .refused(fault)
            case .needMore:
                let missing = v1BytesMax - line.byteCount
                let isTooLong = missing == 0 || missing == 1 && line[line.byteCount - 1] != ASCII.cr
                return isTooLong ? .refused(.lineTooLong) : .needMore
            }
        }
    }

    private static func readLine(_ line: RawSpan) throws(Stop) -> Outcome {
        guard let isProxy = stands("PROXY ", in: line, at: 0) else { throw .needMore }
        guard isProxy else { throw .fault(.signature) }
        let isV4 = stands("TCP4 ", in: line, at: 6)
        let isV6 = stands("TCP6 ", in: line, at: 6)
        let isUnknown = stands("UNKNOWN", in: line, at: 6)
        if isUnknown == true { return try readUnknown(line) }
        guard isV4 == true || isV6 == true else {
            // While nothing is there, any of them may come.
            throw isV4 == nil || isV6 == nil || isUnknown == nil ? .needMore : .fault(.unknownProtocol)
        }
        var offset = 11
        let client = try readAddress(line, &offset, isV6: isV6 == true)
        _ = try readAddress(line, &offset, isV6: isV6 == true)
        let port = try readPort(line, &offset, end: ASCII.space)
        _ = try readPort(line, &offset, end: ASCII.cr)
        try readLineFeed(line, &offset)
        return .header(consumed: offset, client: .address(client, port: port))
    }

    /// Whatever a line says behind `UNKNOWN` is to be ignored, up to its end.
    private static func readUnknown(_ line: RawSpan) throws(Stop) -> Outcome {
        var offset = 13
        if offset < line.byteCount, line[offset] != ASCII.space, line[offset] != ASCII.cr {
            throw .fault(line[offset] == ASCII.lf ? .lineEnd : .unknownProtocol)
        }
        while offset < line.byteCount, line[offset] != ASCII.cr {
            if line[offset] == ASCII.lf { throw .fault(.lineEnd) }
            offset += 1
        }
        guard offset < line.byteCount else { throw .needMore }
        offset += 1
        try readLineFeed(line, &offset)
        return .header(consumed: offset, client: .ofPeer)
    }

    private static func readLineFeed(_ line: RawSpan, _ offset: inout Int) throws(Stop) {
        guard offset < line.byteCount else { throw .needMore }
        guard line[offset] == ASCII.lf else { throw .fault(.lineEnd) }
        offset += 1
    }

    /// An address and the space behind it.
    private static func readAddress(_ line: RawSpan, _ offset: inout Int, isV6: Bool) throws(Stop) -> IPAddress {
        let rest = line.extracting(offset..<line.byteCount)
        guard let end = rest.firstIndex(of: ASCII.space) else {
            throw isV6 ? (beginsV6(rest) ? .needMore : .fault(.address)) : (beginsV4(rest) ? .needMore : .fault(.address))
        }
        let text = rest.extracting(0..<end)
        guard (text.firstIndex(of: ASCII.colon) != nil) == isV6, let address = IPAddress(text) else { throw .fault(.address) }
        offset += end + 1
        return address
    }

    /// A port and the byte that ends it.
    private static func readPort(_ line: RawSpan, _ offset: inout Int, end: UInt8) throws(Stop) -> UInt16 {
        let start = offset
        var number: UInt32 = 0
        while offset < line.byteCount, ASCII.isDigit(line[offset]) {
            // The second digit behind a zero makes that a leading one.
            guard offset == start || number > 0 else { throw .fault(.port) }
            number = number * 10 + UInt32(line[offset] - ASCII.zero)
            guard number <= 65_535 else { throw .fault(.port) }
            offset += 1
        }
        guard offset < line.byteCount else { throw .needMore }
        guard offset > start else { throw .fault(.port) }
        guard line[offset] == end else {
            throw .fault(end == ASCII.cr && line[offset] == ASCII.lf ? .lineEnd : .port)
        }
        offset += 1
        return UInt16(truncatingIfNeeded: number)
    }

    /// Whether dotted decimal may begin so.
    private static func beginsV4(_ text: RawSpan) -> Bool {
        var part: UInt32 = 0
        var digits = 0
        var dots = 0
        for i in 0..<text.byteCount {
            if text[i] == ASCII.dot {
                guard digits > 0, dots < 3 else { return false }
                dots += 1
                part = 0
                digits = 0
            } else {
                guard ASCII.isDigit(text[i]), digits == 0 || part > 0 else { return false }
                part = part * 10 + UInt32(text[i] - ASCII.zero)
                guard part <= 255 else { return false }
                digits += 1
            }
        }
        return true
    }

    /// Whether an IPv6 address (RFC 4291 §2.2) may begin so; its last 32 bits may be dotted decimal.
    private static func beginsV6(_ text: RawSpan) -> Bool {
        var groups = 0
        var digits = 0
        var hasGap = false
        for i in 0..<text.byteCount {
            let byte = text[i]
            if byte == ASCII.colon {
                if digits > 0 {
                    groups += 1
                    // Another group follows, or the gap, which stands for one at least.
                    guard groups <= (hasGap ? 6 : 7) else { return false }
                    digits = 0
                } else if i > 0 {
                    guard text[i - 1] == ASCII.colon, !hasGap else { return false }
                    hasGap = true
                }
            } else if byte == ASCII.dot {
                return (hasGap ? groups <= 5 : groups == 6) && digits > 0
                    && beginsV4(text.extracting((i - digits)..<text.byteCount))
            } else {
                // One colon alone begins nothing.
                guard ASCII.hexValue(byte) != nil, digits < 4, groups < (hasGap ? 7 : 8), i != 1 || text[0] != ASCII.colon
                else { return false }
                digits += 1
            }
        }
        return true
    }
}

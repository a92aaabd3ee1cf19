import CNghttp2
import HTTPMessages
import Primitives

/// Reads the text of an HTTP/1.1 head that is to be sent, and lists its fields for nghttp2.
///
/// The text comes from `HeadSerialiser`, which has checked every byte; whatever is not a head all the same is refused. nghttp2
/// copies the fields within the call that they are listed for, and lowers the letters of the names. Fields that belong to a
/// connection of HTTP/1.1 are left out (RFC 9113 §8.2.2).
struct OutgoingHead {
    private let pool: UnsafeMutablePointer<BlockPool>
    private(set) var count = 0

    init(_ pool: UnsafeMutablePointer<BlockPool>) { self.pool = pool }

    /// The fields; good until another head is read.
    var fields: UnsafeMutablePointer<nghttp2_nv> { pool.pointee.fields }

    /// `HTTP/1.1 200 …` CRLF and the fields.
    /// - Parameter isExtendedConnect: the answer to a WebSocket handshake over HTTP/2: 101 is 200 there, without the proof of the
    ///   key (RFC 8441 §5).
    mutating func readResponse(_ text: UnsafeRawBufferPointer, isExtendedConnect: Bool) -> Bool {
        guard let start = text.baseAddress, text.count > 14 else { return false }
        let base = start.assumingMemoryBound(to: UInt8.self)
        guard ASCII.isDigit(base[9]), ASCII.isDigit(base[10]), ASCII.isDigit(base[11]) else { return false }
        let end = 12 + Scan.control(base + 12, text.count - 12)
        guard end + 1 < text.count, base[end] == ASCII.cr, base[end + 1] == ASCII.lf else { return false }
        let isSwitch = base[9] == UInt8(ascii: "1") && base[10] == ASCII.zero && base[11] == UInt8(ascii: "1")
        guard !isSwitch || isExtendedConnect else { return false }
        if isSwitch { add(":status", "200") } else { add(":status", base + 9, 3) }
        return readFields(base, from: end + 2, text.count, isUpgrade: isSwitch)
    }

    /// `METHOD target HTTP/1.1` CRLF and the fields.
    /// - Parameter upgrade: the protocol of an extended CONNECT (RFC 8441 §4), and then the method is CONNECT whatever the text
    ///   says.
    mutating func readRequest(_ text: UnsafeRawBufferPointer, scheme: Scheme, upgrade: StaticString?) -> Bool {
        guard let start = text.baseAddress else { return false }
        let base = start.assumingMemoryBound(to: UInt8.self)
        let methodEnd = Scan.token(base, text.count)
        guard methodEnd > 0, methodEnd < text.count, base[methodEnd] == ASCII.space else { return false }
        let target = methodEnd + 1
        let targetCount = Scan.target(base + target, text.count - target)
        // The rest of the line: a space, the version, CRLF.
        let fieldsStart = target + targetCount + 11
        guard targetCount > 0, fieldsStart < text.count, base[fieldsStart - 2] == ASCII.cr, base[fieldsStart - 1] == ASCII.lf
        else { return false }
        if upgrade != nil { add(":method", "CONNECT") } else { add(":method", base, methodEnd) }
        add(":scheme", scheme.name)
        // Takes the place of the authority until Host is seen.
        add(":authority", base, 0)
        add(":path", base + target, targetCount)
        if let upgrade { add(":protocol", upgrade) }
        guard readFields(base, from: fieldsStart, text.count, isUpgrade: upgrade != nil) else { return false }
        if fields[2].valuelen == 0 {
            for i in 2..<(count - 1) { fields[i] = fields[i + 1] }
            count -= 1
        }
        return true
    }

    /// Lines of fields and an empty line.
    mutating func readTrailers(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let start = text.baseAddress else { return false }
        return readFields(start.assumingMemoryBound(to: UInt8.self), from: 0, text.count)
    }

    /// `base` points to `end` readable bytes. Host becomes the authority where there is a place for it.
    private mutating func readFields(_ base: UnsafePointer<UInt8>, from start: Int, _ end: Int, isUpgrade: Bool = false) -> Bool {
        let isRequest = count > 2
        var section = ScannedSection(from: start, sectionEnd: end + 1, lineBytes: 65_535, lines: .max)
        return withUnsafeTemporaryAllocation(of: ScannedLine.self, capacity: 64) { lines in
            while true {
                let found = Scan.lines(base, end, &section, into: lines)
                for i in 0..<found {
                    let line = lines[i]
                    let name = base + Int(line.name)
                    let value = base + Int(line.value)
                    switch Self.role(name, Int(line.name_count)) {
                    case .plain: add(name, Int(line.name_count), value, Int(line.value_count), flags: 0)
                    case .unique: add(name, Int(line.name_count), value, Int(line.value_count), flags: Self.noIndex)
                    case .ofConnection: break
                    case .host:
                        if isRequest, line.value_count > 0 {
                            fields[2].value = UnsafeMutablePointer(mutating: value)
                            fields[2].valuelen = Int(line.value_count)
                        }
                    case .te:
                        let text = RawSpan(_unsafeStart: UnsafeRawPointer(value), byteCount: Int(line.value_count))
                        if isRequest, text.equals(ignoringCase: "trailers") { add("te", "trailers") }
                    case .ofHandshake:
                        if !isUpgrade { add(name, Int(line.name_count), value, Int(line.value_count), flags: 0) }
                    }
                }
                switch section.reason {
                case .full: continue
                case .end: return true
                case .partial, .name, .value, .lineEnd, .longLine, .longSection, .manyLines: return false
                }
            }
        }
    }

    private enum Role {
        case plain
        /// Has another value each time, and would only push the useful entries out of the peer's table.
        case unique
        case ofConnection, host, te, ofHandshake
    }

    private static var noIndex: UInt8 { UInt8(NGHTTP2_NV_FLAG_NO_INDEX.rawValue) }

    @inline(__always)
    private static func role(_ name: UnsafePointer<UInt8>, _ count: Int) -> Role {
        // The lengths of the names that matter.
        let lengths: UInt32 = 1 << 2 | 1 << 4 | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 14 | 1 << 16 | 1 << 17 | 1 << 20
        guard count < 32, lengths & (1 << UInt32(truncatingIfNeeded: count)) != 0 else { return .plain }
        return lookUp(RawSpan(_unsafeStart: UnsafeRawPointer(name), byteCount: count))
    }

    private static func lookUp(_ name: RawSpan) -> Role {
        switch name.byteCount {
        case 2: name.equals(ignoringCase: "te") ? .te : .plain
        case 4: name.equals(ignoringCase: "host") ? .host : .plain
        case 7: name.equals(ignoringCase: "upgrade") ? .ofConnection : .plain
        case 10: name.equals(ignoringCase: "connection") || name.equals(ignoringCase: "keep-alive") ? .ofConnection : .plain
        case 11: name.equals(ignoringCase: "traceparent") || name.equals(ignoringCase: "x-timestamp") ? .unique : .plain
        case 12: name.equals(ignoringCase: "x-request-id") ? .unique : .plain
        case 14: name.equals(ignoringCase: "http2-settings") ? .ofConnection : .plain
        case 16: name.equals(ignoringCase: "proxy-connection") ? .ofConnection : .plain
        case 17:
            name.equals(ignoringCase: "transfer-encoding")
                ? .ofConnection : name.equals(ignoringCase: "sec-websocket-key") ? .ofHandshake : .plain
        case 20: name.equals(ignoringCase: "sec-websocket-accept") ? .ofHandshake : .plain
        default: .plain
        }
    }

    @inline(__always)
    private mutating func add(
        _ name: UnsafePointer<UInt8>, _ nameCount: Int, _ value: UnsafePointer<UInt8>, _ valueCount: Int, flags: UInt8
    ) {
        if count == pool.pointee.fieldCapacity { pool.pointee.growFields() }
        // nghttp2 takes mutable pointers and does not write through them.
        (pool.pointee.fields + count).initialize(
            to: nghttp2_nv(
                name: UnsafeMutablePointer(mutating: name), value: UnsafeMutablePointer(mutating: value), namelen: nameCount,
                valuelen: valueCount, flags: flags))
        count &+= 1
    }

    private mutating func add(_ name: StaticString, _ value: UnsafePointer<UInt8>, _ valueCount: Int) {
        add(name.utf8Start, name.utf8CodeUnitCount, value, valueCount, flags: 0)
    }

    private mutating func add(_ name: StaticString, _ value: StaticString) {
        add(name, value.utf8Start, value.utf8CodeUnitCount)
    }
}

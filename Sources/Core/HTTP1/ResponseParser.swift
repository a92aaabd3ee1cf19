import HTTPMessages
import Primitives

/// Reads a response's head in one pass (RFC 9112 §2, §4 to §6), or refuses it: the twin of `RequestParser`, as strict, since what a
/// backend smuggles into a pooled connection becomes the next client's answer.
public enum ResponseParser {
    public enum Outcome: Equatable, Sendable {
        /// The head is not complete, and nothing in it is wrong so far. `head` is clear.
        case needMore
        /// `head` is filled in; the first `consumed` bytes of the input were its. A 1xx head is followed by another head.
        case head(consumed: Int)
        /// No further byte of the connection may be read. `head` is clear.
        case refused(ResponseFault)
    }

    /// Version, status and reason with the line end.
    static var statusLineBytesMax: Int { 8192 }

    /// - Parameters:
    ///   - input: all bytes received so far that belong to no earlier message.
    ///   - requestMethod: the method that this answers: a HEAD has no body, whatever the fields say.
    ///   - head: cleared first. On `.head` its storage begins with the received head, status line through empty line.
    public static func parse(
        _ input: RawSpan, limits: Limits, requestMethod: Method, into head: inout ResponseHead
    ) -> Outcome {
        head.clear()
        let outcome = input.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return Outcome.needMore }
            return parse(start.assumingMemoryBound(to: UInt8.self), buffer.count, limits, requestMethod, &head)
        }
        switch outcome {
        case .head: break
        case .needMore, .refused: head.clear()
        }
        return outcome
    }

    /// `base` points to `count` readable bytes, and every read is at an offset that was compared with `count` first.
    private static func parse(
        _ base: UnsafePointer<UInt8>, _ count: Int, _ limits: Limits, _ requestMethod: Method, _ head: inout ResponseHead
    ) -> Outcome {
        let fieldsStart: Int
        switch readStatusLine(base, count, &head) {
        case .complete(let end): fieldsStart = end
        case .partial: return .needMore
        case .fault(let fault): return .refused(fault)
        }

        let outcome = withUnsafeTemporaryAllocation(of: ScannedLine.self, capacity: FieldScanner.room) { lines in
            withUnsafeTemporaryAllocation(of: Field.self, capacity: FieldScanner.room) { fields in
                let scanner = FieldScanner(base, count: count, from: fieldsStart, limits: limits, lines: lines)
                return parseFields(scanner, lines, fields, requestMethod, &head)
            }
        }
        if case .head(let end) = outcome {
            head.headers.storage.append(RawSpan(_unsafeStart: UnsafeRawPointer(base), byteCount: end))
        }
        return outcome
    }

    @inline(__always)
    private static func parseFields(
        _ start: FieldScanner, _ lines: UnsafeMutableBufferPointer<ScannedLine>, _ fields: UnsafeMutableBufferPointer<Field>,
        _ requestMethod: Method, _ head: inout ResponseHead
    ) -> Outcome {
        var scanner = start
        var framing = FramingFields()
        var connection: ConnectionOptions = []
        while true {
            let count = scanner.read()
            for i in 0..<count {
                let line = lines[i]
                let id = FieldID(lowercasing: RawSpan(_unsafeBytes: scanner.name(line)))
                switch id {
                case .contentLength, .transferEncoding, .connection:
                    let value = RawSpan(_unsafeBytes: scanner.value(line))
                    if let fault = fieldReceived(id, value, head.version, &framing, &connection) { return .refused(fault) }
                default: break
                }
                fields.initializeElement(at: i, to: Field(line, id))
            }
            head.headers.append(contentsOf: UnsafeBufferPointer(rebasing: fields[..<count]))
            switch scanner.step {
            case .more: continue
            case .end(let end):
                finish(&head, framing, connection, requestMethod)
                return .head(consumed: end)
            case .partial: return .needMore
            case .fault(let fault): return .refused(.fields(fault))
            }
        }
    }

    /// A complete line of one of the three fields that decide something about a response.
    private static func fieldReceived(
        _ id: FieldID, _ value: RawSpan, _ version: HTTPVersion, _ framing: inout FramingFields,
        _ connection: inout ConnectionOptions
    ) -> ResponseFault? {
        switch id {
        case .contentLength: return framing.contentLengthReceived(value).map(ResponseFault.framing)
        case .transferEncoding: return framing.transferEncodingReceived(value, version: version).map(ResponseFault.framing)
        default:
            connection.insert(listIn: value)
            return nil
        }
    }

    /// RFC 9112 §6.3, in the order of its list.
    private static func finish(
        _ head: inout ResponseHead, _ framing: FramingFields, _ connection: ConnectionOptions, _ requestMethod: Method
    ) {
        head.declaredLength = framing.contentLength
        head.hasConnectionOptions = connection.contains(.other)
        if hasNoBody(head.status, requestMethod) {
            head.framing = .none
        } else if framing.isChunked {
            head.framing = .chunked
        } else if let length = framing.contentLength {
            head.framing = .length(length)
        } else {
            head.framing = .untilClose
        }
        switch head.version {
        case .http11, .http2: head.allowsReuse = !connection.contains(.close) && head.framing != .untilClose && head.status != 101
        case .http10: head.allowsReuse = false
        }
    }

    private static func hasNoBody(_ status: UInt16, _ requestMethod: Method) -> Bool {
        if status < 200 || status == 204 || status == 304 { return true }
        switch requestMethod {
        case .head: return true
        case .connect: return status < 300
        case .get, .post, .put, .delete, .options, .patch, .trace, .other: return false
        }
    }

    private enum StatusLine {
        /// The offset behind it.
        case complete(Int)
        case partial
        case fault(ResponseFault)
    }

    /// `HTTP/1.1 SP 3DIGIT [SP reason] CRLF`. The grammar wants the second space even without a reason; backends leave it out, and
    /// nothing is ambiguous about that.
    @inline(__always)
    private static func readStatusLine(_ base: UnsafePointer<UInt8>, _ count: Int, _ head: inout ResponseHead) -> StatusLine {
        let name: StaticString = "HTTP/1."
        for i in 0..<min(count, 12) {
            let byte = base[i]
            let isExpected =
                switch i {
                case 0...6: byte == name.utf8Start[i]
                case 7: byte == UInt8(ascii: "1") || byte == UInt8(ascii: "0")
                case 8: byte == ASCII.space
                case 9: byte >= UInt8(ascii: "1") && byte <= UInt8(ascii: "5")
                default: ASCII.isDigit(byte)
                }
            if !isExpected { return .fault(prefixFault(byte, at: i)) }
        }
        guard count > 12 else { return .partial }
        head.version = base[7] == UInt8(ascii: "1") ? .http11 : .http10
        head.status = UInt16(base[9] - ASCII.zero) * 100 + UInt16(base[10] - ASCII.zero) * 10 + UInt16(base[11] - ASCII.zero)

        let reason: Int
        switch base[12] {
        case ASCII.space: reason = 13
        case ASCII.cr: reason = 12
        case ASCII.lf: return .fault(.fields(.bareLineFeed))
        default: return .fault(.malformedStatusLine)
        }
        let end = min(count, statusLineBytesMax)
        let lineEnd = reason + Scan.control(base + reason, end - reason)
        guard lineEnd + 1 < end else {
            if lineEnd < end, base[lineEnd] != ASCII.cr { return .fault(lineFault(base[lineEnd])) }
            return end == statusLineBytesMax ? .fault(.statusLineTooLong) : .partial
        }
        guard base[lineEnd] == ASCII.cr else { return .fault(lineFault(base[lineEnd])) }
        guard base[lineEnd + 1] == ASCII.lf else { return .fault(.fields(.bareCarriageReturn)) }
        head.reason = reason..<lineEnd
        return .complete(lineEnd + 2)
    }

    private static func lineFault(_ byte: UInt8) -> ResponseFault {
        byte == ASCII.lf ? .fields(.bareLineFeed) : .malformedStatusLine
    }

    @inline(never)
    private static func prefixFault(_ byte: UInt8, at offset: Int) -> ResponseFault {
        switch offset {
        case 5...8 where ASCII.isDigit(byte): .unsupportedVersion
        case 9 where ASCII.isDigit(byte): .invalidStatus
        default: lineFault(byte)
        }
    }
}

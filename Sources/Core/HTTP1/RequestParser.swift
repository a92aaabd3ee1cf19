import HTTPMessages
import Primitives

/// Reads a request's head in one pass (RFC 9112 §2 to §6), or refuses it.
///
/// It keeps nothing between calls: the caller keeps the bytes and calls again when more have come (`worthParsing`). Bytes are
/// judged from left to right and lines in order, and no verdict depends on what follows, so that any split of the same bytes
/// ends in the same head or the same fault.
public enum RequestParser {
    public enum Outcome: Equatable, Sendable {
        /// The head is not complete, and nothing in it is wrong so far. `head` is clear.
        case needMore
        /// `head` is filled in; the first `consumed` bytes of the input, empty lines before the request included, were its.
        case head(consumed: Int)
        /// No further byte of the connection may be read. When the request line was good, `head` has the method and the target
        /// for the log, and no fields.
        case refused(RequestFault)
    }

    /// The longest registered method has 17 letters (UPDATEREDIRECTREF).
    static var methodBytesMax: Int { 32 }
    static var emptyLinesMax: Int { 2 }

    /// Whether to call `parse` again: new bytes can complete a head only with a line feed, and a fault in a line without one may
    /// wait for the next multiple of 4 KiB. So a client that sends single bytes costs one pass per line, not one per byte, and no
    /// more than 4 KiB are kept beyond `Limits.requestHeadBytesMax`.
    ///
    /// - Parameter alreadySeen: how many bytes of `input` were there when this was asked last, or at the last call of `parse`; 0 when
    ///   there was none.
    public static func worthParsing(_ input: RawSpan, alreadySeen: Int) -> Bool {
        guard alreadySeen > 0, alreadySeen <= input.byteCount, alreadySeen >> 12 == input.byteCount >> 12 else { return true }
        return input.extracting(alreadySeen..<input.byteCount).firstIndex(of: ASCII.lf) != nil
    }

    /// - Parameters:
    ///   - input: all bytes received so far that belong to no earlier message.
    ///   - head: cleared first. On `.head` its storage begins with the received head, start line through empty line.
    public static func parse(_ input: RawSpan, limits: Limits, into head: inout RequestHead) -> Outcome {
        head.clear()
        return input.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return .needMore }
            return parse(start.assumingMemoryBound(to: UInt8.self), buffer.count, limits, &head)
        }
    }

    /// `base` points to `count` readable bytes, and every read is at an offset that was compared with `count` first.
    private static func parse(
        _ base: UnsafePointer<UInt8>, _ count: Int, _ limits: Limits, _ head: inout RequestHead
    ) -> Outcome {
        var start = 0
        var emptyLines = 0
        while start < count, base[start] == ASCII.cr {
            guard emptyLines < emptyLinesMax else { return .refused(.emptyLinesBeforeRequest) }
            guard start + 1 < count else { return .needMore }
            guard base[start + 1] == ASCII.lf else { return .refused(.fields(.bareCarriageReturn)) }
            emptyLines += 1
            start += 2
        }

        let methodBound = start + methodBytesMax + 1
        let methodEnd = start + Scan.token(base + start, min(count, methodBound) - start)
        guard methodEnd < methodBound else { return .refused(.invalidMethod) }
        guard methodEnd < count else { return .needMore }
        guard base[methodEnd] == ASCII.space, methodEnd > start else {
            return .refused(startLineFault(base[methodEnd], otherwise: methodEnd == start ? .notARequest : .invalidMethod))
        }

        let target = methodEnd + 1
        let targetBound = target + limits.requestTargetBytes + 1
        let targetEnd = target + Scan.target(base + target, min(count, targetBound) - target)
        guard targetEnd < targetBound else { return .refused(.targetTooLong) }
        guard targetEnd < count else { return .needMore }
        guard base[targetEnd] == ASCII.space, targetEnd > target else {
            let isSpace = base[targetEnd] == ASCII.space
            return .refused(startLineFault(base[targetEnd], otherwise: isSpace ? .malformedRequestLine : .invalidTarget))
        }

        let version = targetEnd + 1
        if count - version >= 10, isHTTP11(base + version) {
            head.version = .http11
        } else {
            switch readVersion(base, version, count) {
            case .complete(let read): head.version = read
            case .partial: return .needMore
            case .fault(let fault): return .refused(fault)
            }
        }
        head.method = readMethod(base + start, methodEnd - start)
        head.methodRange = 0..<(methodEnd - start)
        head.targetRange = (target - start)..<(targetEnd - start)

        // From here on offsets are from the start of the head.
        let outcome = withUnsafeTemporaryAllocation(of: ScannedLine.self, capacity: FieldScanner.room) { lines in
            withUnsafeTemporaryAllocation(of: Field.self, capacity: FieldScanner.room) { fields in
                let scanner = FieldScanner(
                    base + start, count: count - start, from: version + 10 - start, limits: limits, lines: lines)
                return parseFields(scanner, lines, fields, &head)
            }
        }
        switch outcome {
        case .head(let end):
            head.headers.storage.append(RawSpan(_unsafeStart: UnsafeRawPointer(base + start), byteCount: end))
            return .head(consumed: start + end)
        case .needMore: head.clear()
        case .refused:
            head.headers.clear()
            head.headers.storage.append(RawSpan(_unsafeStart: UnsafeRawPointer(base + start), byteCount: targetEnd - start))
        }
        return outcome
    }

    @inline(__always)
    private static func parseFields(
        _ start: FieldScanner, _ lines: UnsafeMutableBufferPointer<ScannedLine>, _ fields: UnsafeMutableBufferPointer<Field>,
        _ head: inout RequestHead
    ) -> Outcome {
        var scanner = start
        var semantics = RequestSemantics()
        while true {
            let count = scanner.read()
            for i in 0..<count {
                let line = lines[i]
                let name = RawSpan(_unsafeBytes: scanner.name(line))
                let id = FieldID(lowercasing: name)
                switch id {
                case .other:
                    if line.underscores != 0, FieldID(readingUnderscoresAsDashes: name).isDecisive {
                        return .refused(.underscoreTwin)
                    }
                case .accept, .userAgent, .referer, .cookie, .contentType, .date, .server, .retryAfter, .location, .allow,
                    .cacheControl, .setCookie, .proxyStatus, .contentEncoding:
                    break
                default:
                    let value = RawSpan(_unsafeBytes: scanner.value(line))
                    if let fault = semantics.fieldReceived(id, value, at: head.headers.count &+ i, version: head.version) {
                        return .refused(fault)
                    }
                }
                fields.initializeElement(at: i, to: Field(line, id))
            }
            head.headers.append(contentsOf: UnsafeBufferPointer(rebasing: fields[..<count]))
            switch scanner.step {
            case .more: continue
            case .end(let end):
                if let fault = semantics.headReceived(&head) { return .refused(fault) }
                return .head(consumed: end)
            case .partial: return .needMore
            case .fault(let fault): return .refused(.fields(fault))
            }
        }
    }

    private static func startLineFault(_ byte: UInt8, otherwise: RequestFault) -> RequestFault {
        switch byte {
        case ASCII.lf: .fields(.bareLineFeed)
        case ASCII.cr: .malformedRequestLine
        default: otherwise
        }
    }

    @inline(__always)
    private static func readMethod(_ start: UnsafePointer<UInt8>, _ count: Int) -> Method {
        if count == 3, start[0] == UInt8(ascii: "G"), start[1] == UInt8(ascii: "E"), start[2] == UInt8(ascii: "T") { return .get }
        return Method(RawSpan(_unsafeStart: UnsafeRawPointer(start), byteCount: count))
    }
}

import Primitives

/// Takes a chunked body apart (RFC 9112 §7.1): gives out runs of data where they lie in the input, then the trailer section.
///
/// It holds a few words and no bytes, and judges byte by byte from left to right, so that any split of the same bytes gives the
/// same data, the same trailers and the same fault.
public struct ChunkedDecoder: Sendable {
    private enum State {
        /// Before the first digit of a size.
        case size
        /// Behind at least one digit.
        case sizeDigits
        /// White space behind a size or an extension; only a semicolon may follow (BWS, RFC 9112 §7.1.1).
        case beforeSemicolon
        case extensionName
        case extensionNameRest
        /// White space behind an extension's name.
        case beforeEquals
        case extensionValue
        case extensionToken
        case extensionQuoted
        case extensionQuotedPair
        case extensionQuotedEnd
        /// The CR of a chunk line was read.
        case lineFeed
        /// In a chunk's data, `remaining` bytes before its end.
        case data
        case dataCarriageReturn
        case dataLineFeed
        /// At the start of a trailer line, or of the empty line that ends the body.
        case trailerStart
        case trailerLine
        case trailerLineFeed
        case lastLineFeed
        /// The body is complete; only `.end` follows.
        case complete
        /// Only the same fault follows.
        case failed(ChunkFault)
    }

    /// Bytes of extensions in one chunk line; they mean nothing to us, and to nobody else that we know of.
    static var extensionBytesMax: Int { 256 }
    /// Bytes that the sender could have left out, that is extensions and leading zeros: 16 KiB and a quarter of the data.
    /// The size line and the CRLFs that every chunk must have do not count, or a stream of small events would be cut off.
    static var overheadBytesMax: UInt64 { 16_384 }
    static var trailerBytesMax: Int { 16_384 }

    private var state = State.size
    private var digits: UInt8 = 0
    private var extensionBytes: UInt16 = 0
    private var trailerBytes: UInt16 = 0
    /// Data bytes of the current chunk that have not come yet.
    private var remaining: UInt64 = 0
    private var dataBytes: UInt64 = 0
    private var overheadBytes: UInt64 = 0

    public init() {}

    public var isComplete: Bool {
        switch state {
        case .complete: true
        default: false
        }
    }

    /// Data bytes that the chunk under way has announced and that have not come yet: enough to refuse a body as too large before
    /// it arrives.
    public var announcedBytes: UInt64 { remaining }

    public mutating func next(_ input: RawSpan) -> BodyStep {
        input.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return isComplete ? .end(consumed: 0) : .needMore(consumed: 0) }
            return next(start.assumingMemoryBound(to: UInt8.self), buffer.count)
        }
    }

    /// `base` points to `count` readable bytes for as long as the call lasts; all reads are at offsets below `count`.
    private mutating func next(_ base: UnsafePointer<UInt8>, _ count: Int) -> BodyStep {
        var i = 0
        while i < count {
            switch state {
            case .data:
                let n = remaining < UInt64(count - i) ? Int(remaining) : count - i
                remaining -= UInt64(n)
                dataBytes &+= UInt64(n)
                if remaining == 0 { state = .dataCarriageReturn }
                return .data(i..<(i + n))
            case .trailerStart where base[i] != ASCII.cr, .trailerLine, .trailerLineFeed:
                return trailerBytes(base, i, count)
            case .complete:
                return .end(consumed: i)
            case .size, .sizeDigits, .beforeSemicolon, .extensionName, .extensionNameRest, .beforeEquals, .extensionValue,
                .extensionToken, .extensionQuoted, .extensionQuotedPair, .extensionQuotedEnd, .lineFeed, .dataCarriageReturn,
                .dataLineFeed, .trailerStart, .lastLineFeed, .failed:
                if let fault = frameByte(base[i]) {
                    state = .failed(fault)
                    return .refused(fault)
                }
                i += 1
            }
        }
        return isComplete ? .end(consumed: count) : .needMore(consumed: count)
    }

    /// One byte between the runs of data.
    private mutating func frameByte(_ byte: UInt8) -> ChunkFault? {
        switch state {
        case .size:
            guard let digit = ASCII.hexValue(byte) else { return .invalidSize }
            remaining = UInt64(digit)
            digits = 1
            extensionBytes = 0
            state = .sizeDigits
        case .sizeDigits:
            if let digit = ASCII.hexValue(byte) { return sizeDigit(digit) }
            if byte == ASCII.cr {
                state = .lineFeed
                return nil
            }
            guard byte == ASCII.semicolon || isWhiteSpace(byte) else {
                return byte == ASCII.lf ? .invalidLineEnd : .invalidSize
            }
            return extensionByte(byte)
        case .beforeSemicolon, .extensionName, .extensionNameRest, .beforeEquals, .extensionValue, .extensionToken,
            .extensionQuoted, .extensionQuotedPair, .extensionQuotedEnd:
            return extensionByte(byte)
        case .lineFeed:
            guard byte == ASCII.lf else { return .invalidLineEnd }
            state = remaining == 0 ? .trailerStart : .data
        case .dataCarriageReturn:
            guard byte == ASCII.cr else { return .dataNotTerminated }
            state = .dataLineFeed
        case .dataLineFeed:
            guard byte == ASCII.lf else { return .dataNotTerminated }
            state = .size
        case .trailerStart:
            guard byte == ASCII.cr else { return .invalidTrailer }
            state = .lastLineFeed
        case .lastLineFeed:
            guard byte == ASCII.lf else { return .invalidTrailer }
            state = .complete
        case .failed(let fault):
            return fault
        case .data, .trailerLine, .trailerLineFeed, .complete:
            preconditionFailure("bytes of these states are taken in runs")
        }
        return nil
    }

    /// Caps the digits before it shifts: a shift does not trap, it loses bits.
    private mutating func sizeDigit(_ digit: UInt8) -> ChunkFault? {
        guard digits < 16 else { return .sizeTooLarge }
        if remaining == 0 {
            overheadBytes += 1
            if isOverBudget { return .tooMuchOverhead }
        }
        digits += 1
        remaining = remaining << 4 | UInt64(digit)
        return remaining > UInt64(Int64.max) ? .sizeTooLarge : nil
    }

    private var isOverBudget: Bool { overheadBytes > ChunkedDecoder.overheadBytesMax + dataBytes / 4 }

    /// chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] ), RFC 9112 §7.1.1.
    private mutating func extensionByte(_ byte: UInt8) -> ChunkFault? {
        switch state {
        case .sizeDigits, .beforeSemicolon:
            if byte == ASCII.semicolon {
                state = .extensionName
            } else {
                guard isWhiteSpace(byte) else { return extensionFault(byte) }
                state = .beforeSemicolon
            }
        case .extensionName:
            if !isWhiteSpace(byte) {
                guard ASCII.isToken(byte) else { return extensionFault(byte) }
                state = .extensionNameRest
            }
        case .extensionNameRest:
            switch byte {
            case ASCII.equals: state = .extensionValue
            case ASCII.semicolon: state = .extensionName
            case ASCII.space, ASCII.tab: state = .beforeEquals
            case ASCII.cr: return lineEnds()
            default: guard ASCII.isToken(byte) else { return extensionFault(byte) }
            }
        case .beforeEquals:
            switch byte {
            case ASCII.equals: state = .extensionValue
            case ASCII.semicolon: state = .extensionName
            default: guard isWhiteSpace(byte) else { return extensionFault(byte) }
            }
        case .extensionValue:
            if byte == ASCII.quote {
                state = .extensionQuoted
            } else if !isWhiteSpace(byte) {
                guard ASCII.isToken(byte) else { return extensionFault(byte) }
                state = .extensionToken
            }
        case .extensionToken:
            switch byte {
            case ASCII.semicolon: state = .extensionName
            case ASCII.space, ASCII.tab: state = .beforeSemicolon
            case ASCII.cr: return lineEnds()
            default: guard ASCII.isToken(byte) else { return extensionFault(byte) }
            }
        case .extensionQuoted:
            switch byte {
            case ASCII.quote: state = .extensionQuotedEnd
            case ASCII.backslash: state = .extensionQuotedPair
            default: guard isText(byte) else { return extensionFault(byte) }
            }
        case .extensionQuotedPair:
            guard isText(byte) else { return extensionFault(byte) }
            state = .extensionQuoted
        case .extensionQuotedEnd:
            switch byte {
            case ASCII.semicolon: state = .extensionName
            case ASCII.space, ASCII.tab: state = .beforeSemicolon
            case ASCII.cr: return lineEnds()
            default: return extensionFault(byte)
            }
        case .size, .lineFeed, .data, .dataCarriageReturn, .dataLineFeed, .trailerStart, .trailerLine, .trailerLineFeed,
            .lastLineFeed, .complete, .failed:
            preconditionFailure("no extension stands here")
        }
        extensionBytes += 1
        overheadBytes += 1
        return Int(extensionBytes) > ChunkedDecoder.extensionBytesMax || isOverBudget ? .tooMuchOverhead : nil
    }

    private mutating func lineEnds() -> ChunkFault? {
        state = .lineFeed
        return nil
    }

    private func extensionFault(_ byte: UInt8) -> ChunkFault {
        byte == ASCII.lf || byte == ASCII.cr ? .invalidLineEnd : .invalidExtension
    }

    private func isWhiteSpace(_ byte: UInt8) -> Bool { byte == ASCII.space || byte == ASCII.tab }

    /// What may stand in a quoted string: HTAB, SP, visible bytes, obs-text (RFC 9110 §5.6.4).
    private func isText(_ byte: UInt8) -> Bool { byte == ASCII.tab || (byte >= 0x20 && byte != 0x7f) }

    /// Hands out the rest of one trailer line, or as much of it as has come. Names and values are judged by `TrailerParser`,
    /// which sees whole lines; here only the bytes that could end a line elsewhere for somebody else.
    private mutating func trailerBytes(_ base: UnsafePointer<UInt8>, _ start: Int, _ count: Int) -> BodyStep {
        let bound = start + ChunkedDecoder.trailerBytesMax - Int(trailerBytes)
        let end = min(count, bound)
        var i = start
        switch state {
        case .trailerLineFeed: break
        default:
            i += Scan.control(base + start, end - start)
            if i < end {
                guard base[i] == ASCII.cr else { return fail(.invalidTrailer) }
                state = .trailerLineFeed
                i += 1
            } else {
                state = .trailerLine
            }
        }
        if i < end {
            guard base[i] == ASCII.lf else { return fail(.invalidTrailer) }
            state = .trailerStart
            i += 1
        } else if end == bound {
            return fail(.trailersTooLarge)
        }
        trailerBytes += UInt16(i - start)
        return .trailers(start..<i)
    }

    private mutating func fail(_ fault: ChunkFault) -> BodyStep {
        state = .failed(fault)
        return .refused(fault)
    }
}

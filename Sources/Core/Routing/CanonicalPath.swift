import Primitives

/// The one form of a path that is matched, judged, logged and forwarded (RFC 3986 §6.2.2, with the ambiguous cases refused).
///
/// Unreserved escapes are decoded once (`%41` is `A`, `%252e` stays), others are kept with upper-case digits, bytes that no URI
/// may hold but browsers send (`[ ] { } | ^ "` and the like) are escaped, raw dot segments are resolved. The canonical form of a
/// canonical path is itself.
struct CanonicalPath {
    /// What `/` in escapes is.
    enum Separators {
        /// `%2F` and `%5C` are kept, and raw dot segments resolved.
        case raw
        /// `%2F` is a separator. What holds escapes is canonical already, so any dot segment comes from decoding and is refused.
        case decoded
    }

    private(set) var hasEncodedSlash = false
    private let separators: Separators
    private let mergeSlashes: Bool
    /// Where the canonical path begins in the storage.
    private let start: Int
    private var segment: Int
    private var segmentHasEscape = false
    private var utf8 = UTF8Check()

    /// Where the path that begins at `start` ends, at a `?` or at `end`, provided that it is canonical as it stands; nil when it
    /// must be looked at closely. Almost every path passes here.
    @inline(__always)
    static func scan(_ bytes: RawSpan, from start: Int, to end: Int, mergeSlashes: Bool) -> Int? {
        precondition(start >= 0 && end <= bytes.byteCount, "a path outside its storage")
        var i = start
        // Eight at a time while there is neither a dot nor the query's mark; what ends that is looked at byte by byte.
        while !mergeSlashes, i &+ 8 <= end, TargetByte(all: word(bytes, i)).isPlainOrSlashNotDot { i &+= 8 }
        while i < end {
            let c = byte(bytes, i)
            if TargetByte(c).isPlain {
                if c == ASCII.dot, i > start, byte(bytes, i &- 1) == ASCII.slash { return nil }
            } else {
                guard c == ASCII.slash else { return c == ASCII.question ? i : nil }
                if mergeSlashes, i > start, byte(bytes, i &- 1) == ASCII.slash { return nil }
            }
            i &+= 1
        }
        return i
    }

    /// Both stand only where the offset was compared with the bounds.
    @inline(__always)
    private static func byte(_ bytes: RawSpan, _ offset: Int) -> UInt8 {
        bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
    }

    @inline(__always)
    private static func word(_ bytes: RawSpan, _ offset: Int) -> UInt64 {
        bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self)
    }

    /// Appends the canonical form of the path at `source`, which begins with `/`, to the storage that holds it.
    static func append(
        _ source: Range<Int>, to storage: inout ByteBuffer, mergeSlashes: Bool, separators: Separators = .raw
    ) throws(TargetFault) -> (path: Range<Int>, hasEncodedSlash: Bool) {
        let start = storage.count
        var path = CanonicalPath(separators: separators, mergeSlashes: mergeSlashes, start: start)
        do {
            try path.run(source, &storage)
        } catch {
            storage.truncate(to: start)
            throw error
        }
        return (start..<storage.count, path.hasEncodedSlash)
    }

    /// Whether the path at `range` is its own canonical form.
    static func isCanonical(_ range: Range<Int>, in storage: inout ByteBuffer) -> Bool {
        guard !range.isEmpty, storage[range.lowerBound] == ASCII.slash else { return false }
        if let end = scan(storage.bytes, from: range.lowerBound, to: range.upperBound, mergeSlashes: false) {
            return end == range.upperBound
        }
        let before = storage.count
        defer { storage.truncate(to: before) }
        do {
            let (path, _) = try append(range, to: &storage, mergeSlashes: false)
            return storage.bytes.extracting(path).equals(storage.bytes.extracting(range))
        } catch {
            return false
        }
    }

    private init(separators: Separators, mergeSlashes: Bool, start: Int) {
        self.separators = separators
        self.mergeSlashes = mergeSlashes
        self.start = start
        segment = start + 1
    }

    private mutating func run(_ source: Range<Int>, _ storage: inout ByteBuffer) throws(TargetFault) {
        guard !source.isEmpty, storage[source.lowerBound] == ASCII.slash else { throw .unknownForm }
        storage.append(ASCII.slash)
        var i = source.lowerBound + 1
        while i < source.upperBound {
            let c = storage[i]
            if c == ASCII.percent {
                guard i + 2 < source.upperBound, let high = ASCII.hexValue(storage[i + 1]),
                    let low = ASCII.hexValue(storage[i + 2])
                else { throw .invalidEscape }
                try take(escaped: high << 4 | low, &storage)
                i += 3
            } else {
                guard utf8.isComplete else { throw .invalidUTF8 }
                try take(c, &storage)
                i += 1
            }
        }
        guard utf8.isComplete else { throw .invalidUTF8 }
        try endSegment(isLast: true, &storage)
    }

    private mutating func take(_ c: UInt8, _ storage: inout ByteBuffer) throws(TargetFault) {
        let kind = TargetByte(c)
        if kind.isPlain {
            storage.append(c)
        } else if c == ASCII.slash {
            try endSegment(isLast: false, &storage)
        } else if kind.isEscaped {
            CanonicalPath.append(escape: c, &storage)
        } else {
            throw c == ASCII.backslash ? .backslash : c == UInt8(ascii: "#") ? .fragment : .invalidByte
        }
    }

    private mutating func take(escaped c: UInt8, _ storage: inout ByteBuffer) throws(TargetFault) {
        guard utf8.accepts(c) else { throw .invalidUTF8 }
        guard c >= 0x20, c != 0x7f else { throw .encodedControl }
        if TargetByte(c).isUnreserved {
            segmentHasEscape = true
            storage.append(c)
        } else if c == ASCII.slash || c == ASCII.backslash {
            switch separators {
            case .raw:
                hasEncodedSlash = true
                CanonicalPath.append(escape: c, &storage)
            case .decoded:
                guard c == ASCII.slash else { throw .backslash }
                try endSegment(isLast: false, &storage)
            }
        } else {
            CanonicalPath.append(escape: c, &storage)
        }
    }

    private static func append(escape c: UInt8, _ storage: inout ByteBuffer) {
        storage.append(ASCII.percent)
        storage.append(ASCII.hexDigit(c >> 4))
        storage.append(ASCII.hexDigit(c & 15))
    }

    /// Resolves the segment if it is a dot segment, refuses it if it hides one, and begins the next.
    private mutating func endSegment(isLast: Bool, _ storage: inout ByteBuffer) throws(TargetFault) {
        let count = storage.count - segment
        var dots = 0
        while dots < count, dots < 3, storage[segment + dots] == ASCII.dot { dots += 1 }
        if count == dots, dots == 1 || dots == 2 {
            guard !segmentHasEscape, case .raw = separators else { throw .encodedDotSegment }
            storage.truncate(to: segment)
            if dots == 2 { try removeLastSegment(&storage) }
        } else {
            guard !hidesDots(storage) else { throw .encodedDotSegment }
            if !isLast, count > 0 || !mergeSlashes { storage.append(ASCII.slash) }
        }
        segment = storage.count
        segmentHasEscape = false
    }

    private func removeLastSegment(_ storage: inout ByteBuffer) throws(TargetFault) {
        guard segment > start + 1 else { throw .aboveRoot }
        var end = segment - 1
        while storage[end - 1] != ASCII.slash { end -= 1 }
        storage.truncate(to: end)
    }

    /// Whether a reader that drops path parameters, or takes `%2F` or `%5C` for a slash, would see `.` or `..` here.
    private func hidesDots(_ storage: borrowing ByteBuffer) -> Bool {
        var i = segment
        while i < storage.count {
            var dots = 0
            while i < storage.count, storage[i] == ASCII.dot {
                dots += 1
                i += 1
            }
            if dots == 1 || dots == 2, i == storage.count || isBoundary(storage, i) { return true }
            while i < storage.count, !isSlash(storage, i) { i += 1 }
            i += 3
        }
        return false
    }

    private func isBoundary(_ storage: borrowing ByteBuffer, _ i: Int) -> Bool {
        storage[i] == ASCII.semicolon || isEscape(storage, i, 0x33, 0x42) || isSlash(storage, i)
    }

    private func isSlash(_ storage: borrowing ByteBuffer, _ i: Int) -> Bool {
        isEscape(storage, i, 0x32, 0x46) || isEscape(storage, i, 0x35, 0x43)
    }

    private func isEscape(_ storage: borrowing ByteBuffer, _ i: Int, _ high: UInt8, _ low: UInt8) -> Bool {
        storage[i] == ASCII.percent && i + 2 < storage.count && storage[i + 1] == high && storage[i + 2] == low
    }
}

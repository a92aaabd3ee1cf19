import Primitives

/// A text for a log without what looks like a secret in it: the user information of an address, the value of a parameter with
/// the name of a secret, what follows `Bearer` or `Basic`, and a field line that carries credentials. Each is shown as `***`.
///
/// A harmless word that is masked costs less than a secret that is not. Off the way of requests, but for fields that are logged.
public enum MaskedText {
    /// Appends the masked text escaped for JSON, without quotes around it. It is masked whole, and cut then.
    /// - Returns: how much of the limit is left.
    @discardableResult
    static func append(
        _ text: RawSpan, limit: Int = .max, rules: AccessLogRules = AccessLogRules(), into buffer: inout ByteBuffer
    ) -> Int {
        let n = text.byteCount
        var left = limit
        var shown = 0
        var i = 0
        // Behind what will be shown there is nothing to look for: a secret is found where it begins.
        while i < n, i - shown < left {
            guard let secret = secret(in: text, at: i, from: shown, rules) else {
                i += 1
                continue
            }
            show(text.extracting(shown..<secret.lowerBound), &left, into: &buffer)
            if left >= 3 { buffer.append("***") }
            left = max(0, left - 3)
            shown = secret.upperBound
            i = max(i + 1, shown)
        }
        if shown < n { show(text.extracting(shown..<n), &left, into: &buffer) }
        return left
    }

    static func append(_ text: String, limit: Int, into buffer: inout ByteBuffer) {
        var text = text
        text.withUTF8 { _ = append(RawSpan(_unsafeElements: $0), limit: limit, into: &buffer) }
    }

    /// The text with its secrets masked, for what is shown elsewhere than in a log line.
    public static func text(_ text: String) -> String {
        var out: [UInt8] = []
        let bytes = Array(text.utf8)
        let span = bytes.span.bytes
        var shown = 0
        var i = 0
        while i < bytes.count {
            guard let secret = secret(in: span, at: i, from: shown, AccessLogRules()) else {
                i += 1
                continue
            }
            out += bytes[shown..<secret.lowerBound] + Array("***".utf8)
            shown = secret.upperBound
            i = max(i + 1, shown)
        }
        return String(decoding: out + bytes[shown...], as: UTF8.self)
    }

    /// Where `user:password` stands at the beginning of an address, with a scheme or without, if there is any.
    static func userInformation(_ address: RawSpan) -> Range<Int>? {
        let n = address.byteCount
        guard n > 0 else { return nil }
        var start = 0
        if address[0] == ASCII.slash {
            guard n > 1, address[1] == ASCII.slash else { return nil }
            start = 2
        } else if let colon = address.firstIndex(of: ASCII.colon), colon + 2 < n, address[colon + 1] == ASCII.slash,
            address[colon + 2] == ASCII.slash
        {
            start = colon + 3
        }
        return userInformation(address, from: start)
    }

    private static func userInformation(_ text: RawSpan, from start: Int) -> Range<Int>? {
        var at: Int?
        var i = start
        while i < text.byteCount, !endsAuthority(text[i]) {
            if text[i] == 0x40 { at = i }
            i += 1
        }
        guard let at, at > start else { return nil }
        return start..<at
    }

    private static func show(_ part: RawSpan, _ left: inout Int, into buffer: inout ByteBuffer) {
        guard left > 0 else { return }
        let kept = JSONText.prefix(of: part, limit: left)
        JSONText.append(escaping: kept, into: &buffer)
        left = kept.byteCount < part.byteCount ? 0 : left - kept.byteCount
    }

    /// The secret that the byte at `at` announces, if any; what is before `from` has been shown or masked.
    private static func secret(in text: RawSpan, at: Int, from: Int, _ rules: AccessLogRules) -> Range<Int>? {
        if at == 0 || endsAuthority(text[at - 1]), let user = userInformation(text, from: at),
            text.extracting(user).firstIndex(of: ASCII.colon) != nil
        {
            // `user:password@host` without a scheme.
            return user
        }
        switch text[at] {
        case ASCII.colon:
            if at + 2 < text.byteCount, text[at + 1] == ASCII.slash, text[at + 2] == ASCII.slash {
                return userInformation(text, from: at + 3)
            }
            guard SecretNames.isField(name(in: text, before: at, from: from)) else { return nil }
            var start = at + 1
            while start < text.byteCount, text[start] == ASCII.space || text[start] == ASCII.tab { start += 1 }
            return nonEmpty(start..<end(in: text, from: start) { $0 == ASCII.cr || $0 == ASCII.lf })
        case ASCII.equals:
            let name = name(in: text, before: at, from: from)
            guard !name.isEmpty, SecretNames.matches(name, rules) else { return nil }
            var start = at + 1
            if start < text.byteCount, isQuote(text[start]) {
                let quote = text[start]
                start += 1
                return nonEmpty(start..<end(in: text, from: start) { $0 == quote })
            }
            return nonEmpty(start..<end(in: text, from: start) { isSpace($0) || isQuote($0) || endsParameter($0) })
        case 0x42, 0x62:
            if at > 0, ASCII.isToken(text[at - 1]) { return nil }
            let count = begins(text, at, "bearer") ? 6 : begins(text, at, "basic") ? 5 : 0
            guard count > 0 else { return nil }
            var start = at + count
            while start < text.byteCount, text[start] == ASCII.space { start += 1 }
            guard start > at + count else { return nil }
            return nonEmpty(start..<end(in: text, from: start) { isSpace($0) || isQuote($0) })
        default: return nil
        }
    }

    /// The word that ends at `before`, but for a quote.
    @_lifetime(copy text)
    private static func name(in text: RawSpan, before: Int, from: Int) -> RawSpan {
        var end = before
        if end > from, isQuote(text[end - 1]) { end -= 1 }
        var start = end
        while start > from, isName(text[start - 1]) { start -= 1 }
        return text.extracting(start..<end)
    }

    private static func end(in text: RawSpan, from: Int, _ isEnd: (UInt8) -> Bool) -> Int {
        var i = from
        while i < text.byteCount, !isEnd(text[i]) { i += 1 }
        return i
    }

    private static func nonEmpty(_ range: Range<Int>) -> Range<Int>? { range.isEmpty ? nil : range }

    private static func begins(_ text: RawSpan, _ at: Int, _ word: StaticString) -> Bool {
        let end = at + word.utf8CodeUnitCount
        return end <= text.byteCount && text.extracting(at..<end).equals(ignoringCase: word)
    }

    /// What a parameter's name is made of: anything that parts nothing.
    private static func isName(_ c: UInt8) -> Bool {
        !isSpace(c) && !isQuote(c) && !endsParameter(c) && c != ASCII.equals && c != ASCII.question && c != ASCII.comma
            && c != ASCII.colon && c != ASCII.slash && c != 0x28 && c != 0x7b && c != 0x5b
    }

    private static func endsAuthority(_ c: UInt8) -> Bool {
        c == ASCII.slash || c == ASCII.question || c == 0x23 || isSpace(c) || isQuote(c)
    }

    private static func endsParameter(_ c: UInt8) -> Bool { c == 0x26 || c == ASCII.semicolon || c == 0x23 }
    private static func isSpace(_ c: UInt8) -> Bool { c <= ASCII.space }
    private static func isQuote(_ c: UInt8) -> Bool { c == ASCII.quote || c == 0x27 || c == 0x60 }
}

import Primitives

/// A text for a log without what looks like a secret in it (`SecretScan`). Each is shown as `***`.
///
/// A harmless word that is masked costs less than a secret that is not. Off the way of requests, but for fields that are logged.
public enum MaskedText {
    /// Appends the masked text escaped for JSON, without quotes around it. It is masked whole, and cut then.
    /// - Returns: how much of the limit is left.
    @discardableResult
    static func append(
        _ text: RawSpan, limit: Int = .max, _ kind: SecretScan.Kind = .own, rules: AccessLogRules = AccessLogRules(),
        into buffer: inout ByteBuffer
    ) -> Int {
        let n = text.byteCount
        var left = limit
        var shown = 0
        if SecretScan.isNeeded(text, Scan.log(text), limit: .max, kind, rules) {
            var scan = SecretScan(text, kind)
            // Behind what will be shown there is nothing to look for: a secret is found where it begins.
            while left > 0, let secret = scan.next(before: min(n, shown + min(left, n)), rules) {
                show(text.extracting(shown..<secret.lowerBound), &left, into: &buffer)
                if left >= 3 { buffer.append("***") }
                left = max(0, left - 3)
                shown = secret.upperBound
            }
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
        var scan = SecretScan(bytes.span.bytes, .own)
        let rules = AccessLogRules()
        var shown = 0
        while let secret = scan.next(before: bytes.count, rules) {
            out += bytes[shown..<secret.lowerBound] + Array(SecretNames.mask.utf8)
            shown = secret.upperBound
        }
        return String(decoding: out + bytes[shown...], as: UTF8.self)
    }

    private static func show(_ part: RawSpan, _ left: inout Int, into buffer: inout ByteBuffer) {
        guard left > 0 else { return }
        let kept = JSONText.prefix(of: part, limit: left)
        JSONText.append(escaping: kept, into: &buffer)
        left = kept.byteCount < part.byteCount ? 0 : left - kept.byteCount
    }
}

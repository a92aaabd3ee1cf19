/// Text of the file made fit for one line of a terminal or a log.
public enum DisplayText {
    /// Longer text is cut, in characters.
    static var maximum: Int { 80 }

    /// Control characters, and those that turn the direction of writing round, as `\u{…}`.
    public static func of(_ text: String) -> String {
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            count += 1
            if count > maximum { return result + "…" }
            switch scalar.value {
            case 0x00...0x1f, 0x7f...0x9f, 0x2028...0x202e, 0x2066...0x2069:
                result += "\\u{\(String(scalar.value, radix: 16))}"
            default:
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

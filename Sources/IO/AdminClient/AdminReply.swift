import Configuration
import ConfigurationFile
import Primitives

/// What the daemon said.
public struct AdminReply: Sendable {
    public let status: UInt16
    /// In lower case, without parameters; empty when there was none.
    public let contentType: String
    public let body: [UInt8]

    public init(status: UInt16, contentType: String, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    public var isSuccess: Bool { (200...299).contains(status) }
    public var isText: Bool { contentType == "text/plain" }
    /// As it came: not for a terminal.
    public var text: String { String(decoding: body, as: UTF8.self) }

    /// The body fit for a terminal: what could move its cursor, change its title or turn the direction of writing round is written
    /// out, as `\u{1b}` in text and as `\u001b` in JSON, where that is the same string.
    public var shown: String { Self.shown(text, asJSON: contentType == "application/json") }

    public static func shown(_ text: String, asJSON: Bool = false) -> String {
        var result = ""
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            guard isHarmful(scalar.value) else {
                result.unicodeScalars.append(scalar)
                continue
            }
            let digits = String(scalar.value, radix: 16)
            result += asJSON ? "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits : "\\u{\(digits)}"
        }
        return result
    }

    /// Control characters but for line ends and tabs, line separators, and what changes the direction of writing. All are below
    /// 0x10000, so that four digits are enough.
    private static func isHarmful(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0x09, 0x0a: false
        case 0x00...0x1f, 0x7f...0x9f, 0x061c, 0x200e...0x200f, 0x2028...0x202e, 0x2066...0x2069: true
        default: false
        }
    }

    /// The text of a member at the top of a JSON object; nil where there is none. A member behind the first 64 KiB is not found.
    public func member(_ name: String) -> String? {
        var beginning = body.prefix(65_536)
        // Not in the middle of a character.
        if beginning.count < body.count { beginning = beginning.prefix(through: beginning.lastIndex(of: ASCII.comma) ?? 0) }
        guard case .mapping(let entries)? = YAMLReader.readBeginning(Array(beginning), file: "answer").root?.content,
            case .scalar(let text, _)? = entries.first(where: { $0.key == name })?.value.content
        else { return nil }
        return text
    }
}

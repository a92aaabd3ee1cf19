import Configuration
import HTTPMessages
import Primitives

/// The values of an `ExplainRequest`, each checked for its type and for bytes that no client could send.
enum ExplainField {
    static func method(_ node: Node) throws(ExplainRequestError) -> String {
        let method = try text(node, "method", "a method such as \"GET\"")
        guard isToken(Array(method.utf8).span.bytes) else {
            throw ExplainRequestError(
                .invalid, "method", "\"\(DisplayText.of(method))\" is no method; one is a word such as GET, in upper case")
        }
        return method
    }

    static func url(_ node: Node) throws(ExplainRequestError) -> String {
        let url = try text(node, "url", "a URL such as \"http://api.example.com/users\"")
        guard !url.isEmpty else { throw ExplainRequestError(.invalid, "url", "is empty; give a URL or a path") }
        for byte in url.utf8 where byte &- 0x21 >= 0x5e {
            let what = byte >= 0x80 ? "a character that is not ASCII" : byte == 0x20 ? "a space" : "a control character"
            throw ExplainRequestError(.invalid, "url", "holds \(what); escape it as clients do, such as %20")
        }
        guard !url.utf8.contains(UInt8(ascii: "#")) else {
            throw ExplainRequestError(.invalid, "url", "holds a fragment, which no client sends; leave out # and what follows")
        }
        return url
    }

    /// The authority, where the URL has one, and the target in origin-form; `*` stays for OPTIONS.
    static func split(_ url: String) throws(ExplainRequestError) -> (authority: String?, target: String) {
        let bytes = Array(url.utf8)
        if bytes[0] == ASCII.slash || bytes == [ASCII.asterisk] { return (nil, url) }
        let lower = bytes.map(ASCII.lowercased)
        guard let start = ["http://", "https://"].first(where: { lower.starts(with: $0.utf8) })?.utf8.count else {
            throw ExplainRequestError(
                .invalid, "url", "\"\(DisplayText.of(url))\" is neither http://HOST/PATH nor a path that begins with /")
        }
        let rest = bytes[start...]
        let end = rest.firstIndex { $0 == ASCII.slash || $0 == ASCII.question } ?? rest.endIndex
        let authority = rest[..<end]
        guard !authority.isEmpty else {
            throw ExplainRequestError(.invalid, "url", "names no host; write http://HOST/PATH")
        }
        guard !authority.contains(UInt8(ascii: "@")) else {
            throw ExplainRequestError(
                .invalid, "url", "holds user information, which clients send as a field; give \"headers\": {\"Authorization\": …}"
            )
        }
        let target = String(decoding: rest[end...], as: UTF8.self)
        return (String(decoding: authority, as: UTF8.self), target.hasPrefix("/") ? target : "/" + target)
    }

    static func client(_ node: Node) throws(ExplainRequestError) -> IPAddress {
        let text = try text(node, "client", "an IP address such as \"192.0.2.1\"")
        guard let address = IPAddress(text) else {
            throw ExplainRequestError(
                .invalid, "client", "\"\(DisplayText.of(text))\" is no IP address; write 192.0.2.1 or 2001:db8::1, without a port"
            )
        }
        return address
    }

    static func headers(_ node: Node) throws(ExplainRequestError) -> [(name: String, value: String)] {
        guard case .mapping(let entries) = node.content else {
            throw ExplainRequestError(
                .invalid, "headers", "must be an object of names and values, such as {\"Accept\": \"text/plain\"}")
        }
        var fields: [(name: String, value: String)] = []
        for entry in entries {
            let key = "headers.\(entry.key)"
            guard isToken(Array(entry.key.utf8).span.bytes) else {
                throw ExplainRequestError(.invalid, key, "is no field name; one has letters, digits and - only")
            }
            if case .sequence(let nodes) = entry.value.content {
                for (index, node) in nodes.enumerated() {
                    fields.append((entry.key, try value(node, "\(key)[\(index)]")))
                }
            } else {
                fields.append((entry.key, try value(entry.value, key)))
            }
        }
        return fields
    }

    private static func value(_ node: Node, _ key: String) throws(ExplainRequestError) -> String {
        let value = try text(node, key, "text or a list of texts")
        for byte in value.utf8 where byte < 0x20 && byte != ASCII.tab || byte == 0x7f {
            throw ExplainRequestError(.invalid, key, "holds a control character, which no field can carry; take it out")
        }
        return value
    }

    /// Text, or a word that YAML needs no quotes for. A number, a truth value or nothing is not meant as text.
    static func text(_ node: Node, _ key: String, _ wanted: String) throws(ExplainRequestError) -> String {
        switch node.content {
        case .scalar(let text, .quoted): return text
        case .scalar(let text, .plain):
            switch text {
            case "", "~", "null", "Null", "NULL": throw ExplainRequestError(.invalid, key, "is nothing; it must be \(wanted)")
            case "true", "false":
                throw ExplainRequestError(.invalid, key, "is \(text); write \"\(text)\" if that is meant as text")
            default: break
            }
            guard !isNumber(text) else {
                throw ExplainRequestError(
                    .invalid, key,
                    "is the number \(DisplayText.of(text)); write \"\(DisplayText.of(text))\" if that is meant as text")
            }
            return text
        case .sequence: throw ExplainRequestError(.invalid, key, "is a list; it must be \(wanted)")
        case .mapping: throw ExplainRequestError(.invalid, key, "is an object; it must be \(wanted)")
        }
    }

    /// Whether JSON would read a number (RFC 8259 §6), roughly: an address has more dots.
    private static func isNumber(_ text: String) -> Bool { Double(text) != nil && text.utf8.contains(where: ASCII.isDigit) }
}

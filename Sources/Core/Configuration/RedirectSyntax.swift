import Primitives

/// The target of a redirect: what it may be before its variables are known, and its parts.
enum RedirectSyntax {
    /// What is wrong, or nil. A target that begins with a variable host would let the client choose where it leads.
    static func problem(_ pieces: [HeaderValuePiece]) -> String? {
        for (i, piece) in pieces.enumerated() {
            switch piece {
            case .literal(let bytes):
                let isLast = i == pieces.count - 1
                if (isLast ? bytes.dropLast() : bytes[...]).contains(ASCII.asterisk) {
                    return "has a * that is not the end; /* stands for the rest of the path only there"
                }
                if bytes.contains(where: {
                    $0 <= 0x20 || $0 >= 0x7f || $0 == 0x22 || $0 == 0x3c || $0 == 0x3e || $0 == ASCII.backslash
                }) {
                    return "has a character that a URL must percent-encode"
                }
            case .variable(.scheme), .variable(.host), .variable(.path):
                break
            case .variable(let variable):
                return "${\(variable.rawValue)} cannot stand in a redirect; ${scheme}, ${host} and ${path} can"
            }
        }
        switch pieces.first {
        case nil:
            return "is empty"
        case .variable(.path):
            return nil
        case .variable(.scheme):
            if pieces.count > 1, case .literal(let bytes) = pieces[1], bytes.starts(with: "://".utf8) { return nil }
            return "${scheme} must be followed by ://"
        case .variable:
            return "must begin with a path, http://, https:// or ${scheme}://"
        case .literal(let bytes):
            let text = String(decoding: bytes, as: UTF8.self)
            if text.hasPrefix("https://") || text.hasPrefix("http://") { return nil }
            // "//host" would leave the site; a path does not.
            return text.hasPrefix("/") && !text.hasPrefix("//")
                ? nil : "must begin with a path, http://, https:// or ${scheme}://"
        }
    }

    static func pieces(_ value: [HeaderValuePiece]) -> [RedirectPiece] {
        var result: [RedirectPiece] = []
        for (i, piece) in value.enumerated() {
            switch piece {
            case .variable(.scheme): result.append(.scheme)
            case .variable(.host): result.append(.host)
            case .variable: result.append(.path)
            case .literal(let bytes): result += split(bytes[...], isLast: i == value.count - 1)
            }
        }
        return result
    }

    /// Takes `{name}` and a closing `/*` out of a text; braces round anything else stay text.
    private static func split(_ text: ArraySlice<UInt8>, isLast: Bool) -> [RedirectPiece] {
        var result: [RedirectPiece] = []
        var rest = text
        let hasRest = isLast && rest.suffix(2).elementsEqual([ASCII.slash, ASCII.asterisk])
        if hasRest { rest = rest.dropLast() }
        var literal: [UInt8] = []
        while let open = rest.firstIndex(of: 0x7b), let close = rest[open...].firstIndex(of: 0x7d) {
            literal += rest[..<open]
            if let name = PathSyntax.templateName(Substring(decoding: rest[open...close], as: UTF8.self)) {
                if !literal.isEmpty { result.append(.literal(literal)) }
                literal = []
                result.append(.segment(name))
            } else {
                literal += rest[open...close]
            }
            rest = rest[(close + 1)...]
        }
        literal += rest
        if !literal.isEmpty { result.append(.literal(literal)) }
        if hasRest { result.append(.rest) }
        return result
    }
}

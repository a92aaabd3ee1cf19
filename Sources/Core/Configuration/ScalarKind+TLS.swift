import Primitives

/// Files, protocols and what a certificate says.
extension ScalarKind {
    func readFile(_ text: String) -> ScalarReading {
        guard (1...4095).contains(text.utf8.count), text.utf8.last != ASCII.slash,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else { return unexpected(text) }
        return .value(.text(text))
    }

    /// `name` or `name/version`, both tokens (RFC 9110 §7.8), in lower case: names do not depend on it.
    func readUpgrade(_ text: String) -> ScalarReading {
        let parts = text.utf8.split(separator: ASCII.slash, omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ ScalarKind.isToken(String(Substring($0)), maximum: 64) }) else {
            return unexpected(text)
        }
        let lower = text.lowercased()
        let isHTTP2 = lower == "h2" || lower == "h2c" || lower.hasPrefix("http/")
        if isHTTP2 || lower == "http" { return .problem("HTTP/2 is negotiated, not upgraded to") }
        return .value(.text(lower))
    }

    /// 32 bytes in hexadecimal, perhaps with a colon between two, as OpenSSL writes them.
    func readFingerprint(_ text: String) -> ScalarReading {
        let isParted = text.utf8.contains(ASCII.colon)
        let pairs = text.utf8.split(separator: ASCII.colon, omittingEmptySubsequences: false)
        guard !isParted || pairs.allSatisfy({ $0.count == 2 }) else { return unexpected(text) }
        let digits = pairs.joined().map(ASCII.lowercased)
        guard digits.count == 64, digits.allSatisfy({ ASCII.isDigit($0) || (0x61...0x66).contains($0) }) else {
            return unexpected(text)
        }
        return .value(.text(String(decoding: digits, as: UTF8.self)))
    }

    func readCertificateName(_ text: String) -> ScalarReading {
        guard let name = ScalarKind.certificateName(text) else {
            return .problem(
                "expected \(expected), not \"\(DisplayText.of(text))\"", suggestion: DisplayText.of(ScalarKind.meantName(text)))
        }
        return .value(.text(name.text))
    }

    static func certificateName(_ text: String) -> ClientCertificateName? {
        let kinds = ClientCertificateName.Kind.allCases
        guard let kind = kinds.first(where: { text.hasPrefix($0.rawValue + ":") }) else { return nil }
        let rest = text.dropFirst(kind.rawValue.utf8.count + 1)
        let isVisible = rest.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } && (1...1024).contains(rest.utf8.count)
        switch kind {
        case .dns:
            let isPattern = rest.hasPrefix("*.")
            guard let name = hostName(isPattern ? rest.dropFirst(2) : rest) else { return nil }
            return ClientCertificateName(kind: kind, value: isPattern ? "*." + name : name)
        case .ip:
            return IPAddress(String(rest)).map { ClientCertificateName(kind: kind, value: $0.text) }
        case .uri:
            return isVisible && rest.utf8.contains(ASCII.colon) ? ClientCertificateName(kind: kind, value: String(rest)) : nil
        case .email:
            return isVisible && rest.utf8.contains(0x40) ? ClientCertificateName(kind: kind, value: String(rest)) : nil
        }
    }

    /// With the kind in front that was left out, or "".
    private static func meantName(_ text: String) -> String {
        let kinds = ClientCertificateName.Kind.allCases
        if let kind = kinds.first(where: { text.lowercased().hasPrefix($0.rawValue.lowercased() + ":") }) {
            let respelled = kind.rawValue + text.dropFirst(kind.rawValue.utf8.count)
            return certificateName(respelled) == nil ? "" : respelled
        }
        let order: [ClientCertificateName.Kind] = [.ip, .uri, .email, .dns]
        return order.map { "\($0.rawValue):\(text)" }.first { certificateName($0) != nil } ?? ""
    }
}

import Primitives

/// Origins (RFC 6454 §6.2), as browsers send them.
extension ScalarKind {
    /// `scheme://host[:port]` in lower case, the host perhaps `*.example.com`; or `*`, or `null`.
    func readOrigin(_ text: String) -> ScalarReading {
        if text == "*" || text == "null" { return .value(.text(text)) }
        let lower = text.lowercased()
        guard let colon = lower.firstIndex(of: ":"), lower[colon...].hasPrefix("://") else {
            let isBare = ScalarKind.originHost(lower[...]) != nil
            return .problem(
                "expected \(expected), not \"\(DisplayText.of(text))\"",
                suggestion: isBare ? "https://\(DisplayText.of(lower))" : "")
        }
        let scheme = lower[..<colon]
        let rest = lower[colon...].dropFirst(3)
        guard ScalarKind.isScheme(scheme) else { return unexpected(text) }
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard let host = ScalarKind.originHost(authority) else { return unexpected(text) }
        let port = authority.dropFirst(host.written)
        guard port.isEmpty || ScalarKind.splitPort("h" + port).map({ $0.port > 0 }) == true else { return unexpected(text) }
        let usual = scheme == "https" && port == ":443" || scheme == "http" && port == ":80"
        let origin = "\(scheme)://\(host.text)\(usual ? "" : port)"
        if authority.utf8.count < rest.utf8.count { return .problem("an origin has no path", suggestion: origin) }
        if usual { return .problem("browsers leave the port \(port.dropFirst()) out", suggestion: origin) }
        return .value(.text(origin))
    }

    /// The host in front of `text`, as browsers write it, and how many characters it has here.
    private static func originHost(_ text: Substring) -> (text: String, written: Int)? {
        if text.hasPrefix("[") {
            let host = text.prefix { $0 != "]" }
            guard let address = IPAddress(String(host.dropFirst())), host.count < text.count, !address.isV4 else { return nil }
            return ("[\(address.text)]", host.count + 1)
        }
        let host = text.prefix { $0 != ":" }
        if let address = IPAddress(String(host)) { return (address.text, host.count) }
        let isPattern = host.hasPrefix("*.")
        guard let name = hostName(isPattern ? host.dropFirst(2) : host) else { return nil }
        return (isPattern ? "*." + name : name, host.count)
    }

    /// RFC 3986 §3.1, in lower case.
    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, ASCII.isLetter(first), text.utf8.count <= 64 else { return false }
        return text.utf8.allSatisfy {
            ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == 0x2b || $0 == ASCII.dash || $0 == ASCII.dot
        }
    }
}

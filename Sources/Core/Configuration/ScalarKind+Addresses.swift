import Primitives

/// Addresses, host names and URLs.
extension ScalarKind {
    /// What `sun_path` holds, less the byte that ends it.
    static var unixPathMaximum: Int { 107 }

    static func unixPath(_ path: Substring) -> String? {
        guard path.utf8.first == ASCII.slash, path.utf8.count <= unixPathMaximum, path.utf8.count > 1,
            path.utf8.last != ASCII.slash, !path.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f })
        else { return nil }
        return String(path)
    }

    /// `host:port`, the host perhaps in brackets. Nil when there is no port, or it is no number from 0 to 65535.
    static func splitPort(_ text: Substring) -> (host: Substring, isBracketed: Bool, port: UInt16)? {
        let isBracketed = text.utf8.first == 0x5b
        guard let colon = text.utf8.lastIndex(of: ASCII.colon),
            let number = wholeNumber(text[text.utf8.index(after: colon)...].utf8),
            let port = UInt16(exactly: number)
        else { return nil }
        let host = text[..<colon]
        guard isBracketed else { return host.utf8.contains(ASCII.colon) ? nil : (host, false, port) }
        guard host.utf8.last == 0x5d, host.utf8.count > 2 else { return nil }
        return (host.dropFirst().dropLast(), true, port)
    }

    func readListenAddress(_ text: String) -> ScalarReading {
        if text.hasPrefix("unix:") {
            guard let path = ScalarKind.unixPath(text.dropFirst(5)) else {
                return .problem("a Unix socket needs an absolute path of at most \(ScalarKind.unixPathMaximum) bytes")
            }
            return .value(.listenAddress(.unix(path: path)))
        }
        if let port = ScalarKind.wholeNumber(text.hasPrefix(":") ? text.dropFirst().utf8 : text[...].utf8), port <= 65535 {
            return .problem("expected \(expected), not \"\(DisplayText.of(text))\"", suggestion: "0.0.0.0:\(port)")
        }
        guard let (host, isBracketed, port) = ScalarKind.splitPort(text[...]) else { return unexpected(text) }
        if host == "localhost" { return .value(.listenAddress(.tcp(IPAddress(v4: 0x7f00_0001), port: port))) }
        guard let address = IPAddress(String(host)), isBracketed == host.utf8.contains(ASCII.colon) else {
            return .problem(
                "expected an IP address before the port, not \"\(DisplayText.of(String(host)))\"",
                suggestion: host == "*" ? "0.0.0.0:\(port)" : "")
        }
        return .value(.listenAddress(.tcp(address, port: port)))
    }

    /// Labels of letters, digits, `-` and `_`, 1 to 63 bytes each, 253 in all (RFC 1035 §2.3.4; `_` because names of
    /// containers have it). Lower case, or nil. A name whose last label is a number is refused: it is a mistyped address.
    static func hostName(_ text: Substring) -> String? {
        guard (1...253).contains(text.utf8.count) else { return nil }
        let labels = text.utf8.split(separator: ASCII.dot, omittingEmptySubsequences: false)
        for label in labels {
            guard (1...63).contains(label.count), label.first != ASCII.dash, label.last != ASCII.dash,
                label.allSatisfy({ ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == ASCII.dash || $0 == ASCII.underscore })
            else { return nil }
        }
        guard let last = labels.last, !last.allSatisfy(ASCII.isDigit) else { return nil }
        return String(decoding: text.utf8.map(ASCII.lowercased), as: UTF8.self)
    }

    func readInstanceURL(_ text: String) -> ScalarReading {
        if text.hasPrefix("unix:") {
            guard let path = ScalarKind.unixPath(text.dropFirst(5)) else {
                return .problem("a Unix socket needs an absolute path of at most \(ScalarKind.unixPathMaximum) bytes")
            }
            return .value(.instanceAddress(.unix(path: path), isSecure: false))
        }
        let isSecure = text.hasPrefix("https://")
        guard isSecure || text.hasPrefix("http://") else {
            let bare =
                ScalarKind.splitPort(text[...]).map {
                    ScalarKind.hostName($0.host) != nil || $0.isBracketed
                        || IPAddress(String($0.host)) != nil
                } ?? false
            return .problem(
                "expected \(expected), not \"\(DisplayText.of(text))\"",
                suggestion: bare ? "http://\(DisplayText.of(text))" : "")
        }
        let rest = text.dropFirst(isSecure ? 8 : 7)
        let end = rest.utf8.firstIndex { $0 == ASCII.slash || $0 == ASCII.question || $0 == 0x23 } ?? rest.endIndex
        let authority = rest[..<end]
        if authority.utf8.contains(0x40) {
            return .problem("a user name or password in a URL is not supported; set an Authorization header instead")
        }
        guard rest[end...].isEmpty || rest[end...] == "/" else {
            return .problem("must end behind the port; a path is put before with the route's path.add_prefix")
        }
        let hasPort = authority.utf8.last != 0x5d && authority.utf8.contains(ASCII.colon)
        let withPort = hasPort ? authority : authority + (isSecure ? ":443" : ":80")
        guard let (host, isBracketed, port) = ScalarKind.splitPort(withPort), port > 0 else { return unexpected(text) }
        if let address = IPAddress(String(host)), isBracketed == host.utf8.contains(ASCII.colon) {
            return .value(.instanceAddress(.ip(address, port: port), isSecure: isSecure))
        }
        guard !isBracketed, let name = ScalarKind.hostName(host) else {
            return .problem("\"\(DisplayText.of(String(host)))\" is neither a host name nor an IP address")
        }
        return .value(.instanceAddress(.name(name, port: port), isSecure: isSecure))
    }

    func readAddressBlock(_ text: String) -> ScalarReading {
        if let block = AddressBlock(text) { return .value(.block(block)) }
        let parts = text.utf8.split(separator: ASCII.slash, maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2, let first = parts.first, let address = IPAddress(String(Substring(first))),
            let bits = ScalarKind.wholeNumber(Substring(parts[1]).utf8), bits <= (address.isV4 ? 32 : 128)
        {
            return .problem(
                "has bits set behind the prefix",
                suggestion: "\(ScalarKind.network(of: address, bits: address.isV4 ? bits + 96 : bits).text)/\(bits)")
        }
        return unexpected(text)
    }

    private static func network(of address: IPAddress, bits: Int) -> IPAddress {
        let high = bits >= 64 ? UInt64.max : bits == 0 ? 0 : ~0 << UInt64(64 - bits)
        let low = bits >= 128 ? UInt64.max : bits <= 64 ? 0 : ~0 << UInt64(128 - bits)
        return IPAddress(high: address.high & high, low: address.low & low)
    }

    func readHostPattern(_ text: String) -> ScalarReading {
        if text == "*" { return .value(.text(text)) }
        if text.utf8.contains(ASCII.slash) { return .problem("a host has no scheme and no path") }
        if text.hasPrefix("*.") {
            guard let name = ScalarKind.hostName(text.dropFirst(2)) else { return unexpected(text) }
            return .value(.text("*." + name))
        }
        if text.utf8.contains(ASCII.asterisk) {
            return .problem("* can stand only for whole labels in front, as in *.example.com")
        }
        if let name = ScalarKind.hostName(text[...]) { return .value(.text(name)) }
        let inner = text.hasPrefix("[") && text.hasSuffix("]") ? text.dropFirst().dropLast() : text[...]
        if let address = IPAddress(String(inner)), (inner.utf8.count != text.utf8.count) == inner.utf8.contains(ASCII.colon) {
            return .value(.text(address.isV4 ? address.text : "[\(address.text)]"))
        }
        if text.hasSuffix("."), let name = ScalarKind.hostName(text.dropLast()) {
            return .problem("a host is written without a dot at its end", suggestion: name)
        }
        if let (host, _, _) = ScalarKind.splitPort(text[...]) {
            return .problem("a host is matched without its port", suggestion: DisplayText.of(String(host)))
        }
        return unexpected(text)
    }

    func readHostField(_ text: String) -> ScalarReading {
        let host = ScalarKind.splitPort(text[...])?.host ?? text[...]
        let isAddress = IPAddress(String(host)).map { $0.isV4 || text.hasPrefix("[") } ?? false
        let inBrackets = text.hasPrefix("[") && text.hasSuffix("]") && IPAddress(String(text.dropFirst().dropLast())) != nil
        guard isAddress || inBrackets || ScalarKind.hostName(host) != nil else { return unexpected(text) }
        return .value(.text(text))
    }

    /// Scheme, then an authority of plain characters without user information, then anything but blanks and controls.
    func readURL(_ text: String, _ schemes: [String]) -> ScalarReading {
        guard let scheme = schemes.first(where: { text.hasPrefix($0 + "://") }), text.utf8.count <= 2048,
            text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        else { return unexpected(text) }
        let rest = text.dropFirst(scheme.utf8.count + 3)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        // A socket's URL has only a path.
        if authority.isEmpty { return scheme == "unix" && rest.utf8.count > 1 ? .value(.text(text)) : unexpected(text) }
        if authority.utf8.contains(0x40) { return .problem("a user name or password in a URL is not supported") }
        return .value(.text(text))
    }

    func readHostName(_ text: String) -> ScalarReading {
        text.utf8.contains(ASCII.asterisk) ? unexpected(text) : readHostPattern(text)
    }
}

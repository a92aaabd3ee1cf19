import Primitives

/// Where log lines go.
extension ScalarKind {
    func readLogOutput(_ text: String, off: Bool) -> ScalarReading {
        switch text {
        case "none" where off: return .value(.logOutput(.off))
        case "stdout": return .value(.logOutput(.standardOutput))
        case "stderr": return .value(.logOutput(.standardError))
        case "journald": return .value(.logOutput(.journald))
        default: break
        }
        if text.hasPrefix("/") {
            guard case .value = ScalarKind.filePath().read(text) else { return unexpected(text) }
            return .value(.logOutput(.file(text)))
        }
        for (prefix, port) in [("syslog+udp://", SyslogTarget.udpPort), ("syslog+tcp://", SyslogTarget.tcpPort)]
        where text.hasPrefix(prefix) {
            guard let (host, port) = ScalarKind.syslogHost(text.dropFirst(prefix.utf8.count), port) else {
                return .problem("needs a host name or an address behind \(prefix), and perhaps a port")
            }
            let isUDP = prefix == "syslog+udp://"
            return .value(.logOutput(.syslog(isUDP ? .udp(host: host, port: port) : .tcp(host: host, port: port))))
        }
        if text.hasPrefix("syslog+unix:") {
            guard let path = ScalarKind.unixPath(text.dropFirst(12)) else {
                return .problem("a Unix socket needs an absolute path of at most \(ScalarKind.unixPathMaximum) bytes")
            }
            return .value(.logOutput(.syslog(.unix(path: path))))
        }
        return .problem(
            "expected \(expected), not \"\(DisplayText.of(text))\"",
            suggestion: Suggestion.nearest(to: text, among: LogOutput.words(off: off)))
    }

    private static func syslogHost(_ text: Substring, _ usual: UInt16) -> (String, UInt16)? {
        let hasPort = text.utf8.last != 0x5d && text.utf8.contains(ASCII.colon)
        guard let (host, isBracketed, port) = splitPort(hasPort ? text : text + ":\(usual)"), port > 0 else { return nil }
        if let address = IPAddress(String(host)), isBracketed == host.utf8.contains(ASCII.colon) { return (address.text, port) }
        guard !isBracketed, let name = hostName(host) else { return nil }
        return (name, port)
    }
}

extension LogOutput {
    /// Those that are a single word.
    static func words(off: Bool) -> [String] { ["stdout", "stderr", "journald"] + (off ? ["none"] : []) }
}

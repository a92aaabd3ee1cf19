import Configuration
import Logs
import Primitives
import Proxy
import Reactor
import Telemetry

/// The two logs: opening, rotating, what is written of broken messages.
extension ControlThread {
    func report(_ message: BrokenMessage) {
        let rule = LogValue.string("\(message.rule)")
        let more = LogValue.integer(Int64(message.leftOut))
        let text: String
        let key: String
        let name: String
        switch message.sender {
        case .client(let peer): (text, key, name) = ("request refused", "peer", peer.text)
        case .backend(let instance): (text, key, name) = ("answer of a backend refused", "instance", instance)
        case .listener(let address):
            return log.warn("connections cannot be accepted", ["error": rule, "address": .string(address)])
        }
        guard let bytes = message.bytes else {
            return log.event(.warn, "\(text), and more like it", ["rule": rule, key: .string(name), "more": more])
        }
        // Not valid UTF-8, most of it: the log escapes what is no text.
        log.event(
            .warn, text,
            ["rule": rule, key: .string(name), "bytes": .string(String(decoding: bytes, as: UTF8.self)), "more": more])
    }

    func reopenLogs() {
        accessLog?.reopen()
        log.reopen()
        log.event(.info, "log files reopened", [:])
    }

    func reportLostLines() {
        guard let lost = accessLog?.droppedLines, lost > lostLines else { return }
        log.warn("access log lines were lost", ["lines": .integer(Int64(clamping: lost - lostLines))])
        lostLines = lost
    }

    /// The old log gets what the workers still hold for it, and ends.
    func moveAccessLog(to new: LogWriter?) {
        reportLostLines()
        let old = accessLog
        accessLog = new
        lostLines = new?.droppedLines ?? 0
        hub.postToAll(.log(new))
        old?.stop(afterMilliseconds: 2000)
    }

    static func openAccessLog(_ configuration: GatewayConfiguration) throws(StartError) -> LogWriter? {
        guard let target = target(configuration.accessLog.output) else { return nil }
        return try open(target, .access, "access_log.output")
    }

    static func openLog(_ configuration: GatewayConfiguration) throws(StartError) -> LogWriter {
        try open(target(configuration.server.logOutput) ?? .standardError, .daemon, "server.log_output")
    }

    private static func open(
        _ target: LogWriter.Target, _ content: LogWriter.Content, _ key: String
    ) throws(StartError) -> LogWriter {
        do {
            return try LogWriter(target, content: content)
        } catch {
            throw StartError("\(key): cannot open \(error.path): \(SystemError.text(error.error))")
        }
    }

    private static func target(_ output: LogOutput) -> LogWriter.Target? {
        switch output {
        case .off: nil
        case .standardOutput: .standardOutput
        case .standardError: .standardError
        case .file(let path): .file(path)
        case .journald: .journald
        case .syslog(.udp(let host, let port)): .syslog(.udp(host: host, port: port))
        case .syslog(.tcp(let host, let port)): .syslog(.tcp(host: host, port: port))
        case .syslog(.unix(let path)): .syslog(.unix(path: path))
        }
    }
}

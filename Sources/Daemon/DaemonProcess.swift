import ConfigurationFile
import Glibc

/// The process of a running daemon.
struct DaemonProcess {
    let id: pid_t

    /// The process that the pid file names, or that systemd names to what it starts for a reload; nil where that is none, or none
    /// that waits for SIGHUP: a number that is left over may belong to anybody by now, and SIGHUP would end them.
    static func find(pidFile: String?) -> DaemonProcess? {
        if let pidFile, let process = DaemonProcess(content(pidFile)) { return process }
        return getenv("MAINPID").flatMap { DaemonProcess(String(cString: $0)) }
    }

    private init?(_ text: String?) {
        guard let number = text?.split(separator: "\n").first, let id = pid_t(number), id > 1, Self.isDaemon(id) else {
            return nil
        }
        self.id = id
    }

    private static func isDaemon(_ id: pid_t) -> Bool {
        let arguments = content("/proc/\(id)/cmdline")?.split(separator: "\0").dropFirst() ?? []
        guard arguments.contains("run"), let status = content("/proc/\(id)/status") else { return false }
        let blocked = status.split(separator: "\n").first { $0.hasPrefix("SigBlk:") }?.split(separator: "\t").last ?? ""
        // The daemon reads its signals; bit n - 1 is that of signal n (proc_pid_status(5)).
        return UInt64(blocked, radix: 16).map { $0 & 1 << UInt64(SIGHUP - 1) != 0 } ?? false
    }

    private static func content(_ path: String) -> String? {
        do {
            return String(decoding: try FileReader.read(path, maximum: 1 << 20).bytes, as: UTF8.self)
        } catch {
            return nil
        }
    }

    /// Makes it read its configuration again.
    /// - Returns: what went wrong, in the words of the system.
    func hangUp() -> String? {
        guard kill(id, SIGHUP) != 0 else { return nil }
        return strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
    }
}

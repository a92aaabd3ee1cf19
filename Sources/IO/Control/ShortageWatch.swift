import Glibc
import Primitives
import Resilience

/// Looks about once a second whether descriptors or memory run short, so that less important requests can make room.
struct ShortageWatch {
    private var next = Instant(nanoseconds: 0)

    /// - Returns: nil where it is not time to look again.
    /// - Parameter connections: with clients and with backends; they are what most descriptors are.
    mutating func look(at now: Instant, connections: @autoclosure () -> Int) -> LoadShedder.Pressure? {
        guard now >= next else { return nil }
        next = now + .seconds(1)
        let memory = Self.cgroupShare() ?? Self.machineShare()
        let descriptors = connections() * 1000 / max(1, Self.descriptorLimit)
        return max(LoadShedder.Pressure(usedPermille: descriptors), LoadShedder.Pressure(usedPermille: memory))
    }

    private static var descriptorLimit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        return Int(clamping: limit.rlim_cur)
    }

    /// Of what the service manager or the container allows (cgroup v2); nil where there is no limit.
    private static func cgroupShare() -> Int? {
        guard let line = text("/proc/self/cgroup").split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else {
            return nil
        }
        let folder = "/sys/fs/cgroup" + line.dropFirst(3)
        guard let most = UInt64(text(folder + "/memory.max").prefix { $0 != "\n" }), most > 0,
            let used = UInt64(text(folder + "/memory.current").prefix { $0 != "\n" })
        else { return nil }
        // The kernel's caches count as used, and go when they must.
        let cache = value("file", text(folder + "/memory.stat"), separator: " ") ?? 0
        return Int(clamping: (used > cache ? used - cache : 0) / max(1, most / 1000))
    }

    /// Of the machine's memory, but for what could be had at once.
    private static func machineShare() -> Int {
        let text = text("/proc/meminfo")
        guard let total = value("MemTotal:", text, separator: " "), total >= 1000,
            let available = value("MemAvailable:", text, separator: " ")
        else { return 0 }
        return Int(clamping: (total > available ? total - available : 0) / (total / 1000))
    }

    private static func value(_ name: String, _ text: String, separator: Character) -> UInt64? {
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            let words = line.split(separator: separator, omittingEmptySubsequences: true)
            if words.count > 1, words[0] == name { return UInt64(words[1]) }
        }
        return nil
    }

    private static func text(_ path: String) -> String {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return "" }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: 8192)
        let n = read(fd, &bytes, bytes.count)
        return n > 0 ? String(decoding: bytes[..<n], as: UTF8.self) : ""
    }
}

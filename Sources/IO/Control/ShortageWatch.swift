import Glibc
import Primitives
import Resilience

/// Looks about once a second whether descriptors or memory run short, so that less important requests can make room.
struct ShortageWatch {
    private var next = Instant(nanoseconds: 0)
    /// Nil until it was looked for.
    private var folder: String?

    /// - Returns: nil where it is not time to look again.
    /// - Parameter connections: with clients and with backends; they are what most descriptors are.
    mutating func look(at now: Instant, connections: @autoclosure () -> Int) -> LoadShedder.Pressure? {
        guard now >= next else { return nil }
        next = now + .seconds(1)
        let memory = cgroupShare() ?? Self.machineShare()
        let descriptors = connections() * 1000 / max(1, Self.descriptorLimit)
        return max(LoadShedder.Pressure(usedPermille: descriptors), LoadShedder.Pressure(usedPermille: memory))
    }

    private static var descriptorLimit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        return Int(clamping: limit.rlim_cur)
    }

    /// Of what the service manager or the container allows (cgroup v2); nil where there is no limit.
    private mutating func cgroupShare() -> Int? {
        if folder == nil { folder = Self.cgroupFolder() }
        guard let folder, !folder.isEmpty, let most = Self.number("", in: Self.bytes(folder + "/memory.max")), most > 0,
            let used = Self.number("", in: Self.bytes(folder + "/memory.current"))
        else { return nil }
        // The kernel's caches count as used, and go when they must.
        let cache = Self.number("file", in: Self.bytes(folder + "/memory.stat")) ?? 0
        return Int(clamping: (used > cache ? used - cache : 0) / max(1, most / 1000))
    }

    /// Empty where there is none.
    private static func cgroupFolder() -> String {
        let text = String(decoding: bytes("/proc/self/cgroup"), as: UTF8.self)
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return "" }
        return "/sys/fs/cgroup" + line.dropFirst(3)
    }

    /// Of the machine's memory, but for what could be had at once.
    private static func machineShare() -> Int {
        let text = bytes("/proc/meminfo")
        guard let total = number("MemTotal:", in: text), total >= 1000, let available = number("MemAvailable:", in: text) else {
            return 0
        }
        return Int(clamping: (total > available ? total - available : 0) / (total / 1000))
    }

    /// The number that stands behind `name` at the beginning of a line.
    private static func number(_ name: StaticString, in text: [UInt8]) -> UInt64? {
        let length = name.utf8CodeUnitCount
        var start = 0
        while start < text.count {
            let end = text[start...].firstIndex(of: ASCII.lf) ?? text.count
            if end - start > length, (0..<length).allSatisfy({ text[start + $0] == name.utf8Start[$0] }) {
                var value: UInt64?
                var i = start + length
                while i < end, text[i] == ASCII.space { i += 1 }
                while i < end, ASCII.isDigit(text[i]), i - start < length + 32 {
                    value = (value ?? 0) &* 10 &+ UInt64(text[i] - ASCII.zero)
                    i += 1
                }
                if length == 0 || i > start + length, let value { return value }
            }
            start = end + 1
        }
        return nil
    }

    private static func bytes(_ path: String) -> [UInt8] {
        let fd = open(path, O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return [] }
        defer { close(fd) }
        return [UInt8](unsafeUninitializedCapacity: 8192) { room, count in
            count = max(0, read(fd, room.baseAddress, room.count))
        }
    }
}

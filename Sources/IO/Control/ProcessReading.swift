import Glibc
import Primitives
import Telemetry

/// What the kernel says of this process, read when the metrics are asked for.
enum ProcessReading {
    static func fill(_ figures: inout ProcessFigures) {
        var usage = rusage()
        if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
            let microseconds =
                (UInt64(usage.ru_utime.tv_sec) + UInt64(usage.ru_stime.tv_sec)) * 1_000_000
                + UInt64(usage.ru_utime.tv_usec) + UInt64(usage.ru_stime.tv_usec)
            figures.cpu = TimeAmount(nanoseconds: microseconds * 1000)
        }
        let pages = statm()
        let pageBytes = UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
        figures.virtualBytes = pages.virtual * pageBytes
        figures.residentBytes = pages.resident * pageBytes
        figures.openDescriptors = openDescriptors()
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 { figures.descriptorsMax = UInt64(limit.rlim_cur) }
    }

    /// The first two numbers of /proc/self/statm (proc(5)).
    private static func statm() -> (virtual: UInt64, resident: UInt64) {
        let fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard fd >= 0 else { return (0, 0) }
        defer { close(fd) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let n = read(fd, &bytes, bytes.count)
        guard n > 0 else { return (0, 0) }
        let numbers = bytes[..<n].split(separator: ASCII.space).map { digits in
            digits.reduce(into: UInt64(0)) { if ASCII.isDigit($1) { $0 = $0 &* 10 &+ UInt64($1 - ASCII.zero) } }
        }
        return numbers.count > 1 ? (numbers[0], numbers[1]) : (0, 0)
    }

    private static func openDescriptors() -> UInt64 {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count: UInt64 = 0
        while readdir(folder) != nil { count += 1 }
        // `.`, `..` and the folder's own.
        return count > 3 ? count - 3 : 0
    }
}

import Glibc

/// The file that holds the process's id, for scripts that send signals.
enum ProcessIDFile {
    /// Takes the place of an older one in one step, so that nobody reads half a number.
    /// - Returns: what went wrong, in the words of the system.
    static func write(_ path: String) -> String? {
        let draft = "\(path).\(getpid())"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard descriptor >= 0 else { return problem() }
        let text = Array("\(getpid())\n".utf8)
        let written = Glibc.write(descriptor, text, text.count)
        close(descriptor)
        if written == text.count, rename(draft, path) == 0 { return nil }
        let reason = problem()
        unlink(draft)
        return reason
    }

    /// Removes it, unless it is another process's by now.
    static func remove(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = read(descriptor, &bytes, bytes.count)
        if count > 0, String(decoding: bytes[..<count], as: UTF8.self) == "\(getpid())\n" { unlink(path) }
    }

    private static func problem() -> String { strerror(errno).map { String(cString: $0) } ?? "error \(errno)" }
}

import Glibc

/// Reads whole files, on the control thread.
public enum FileReader {
    public struct File {
        public var bytes: [UInt8]
        public var mode: mode_t
    }

    public struct Failure: Error {
        public var reason: String
    }

    /// - Parameter maximum: Longer files are refused.
    public static func read(_ path: String, maximum: Int) throws(Failure) -> File {
        // Non-blocking, so that a FIFO without a writer cannot hold us; for a regular file it means nothing.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Failure(reason: systemText()) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Failure(reason: systemText()) }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw Failure(reason: "Is a directory") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw Failure(reason: "Not a regular file") }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Failure(reason: systemText()) }
            if count == 0 { break }
            bytes += chunk[..<count]
            guard bytes.count <= maximum else { throw Failure(reason: "Longer than \(maximum) bytes") }
        }
        return File(bytes: bytes, mode: status.st_mode)
    }

    private static func systemText() -> String {
        let code = errno
        return strerror(code).map { String(cString: $0) } ?? "Error \(code)"
    }
}

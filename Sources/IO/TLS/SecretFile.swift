import COpenSSL
import Glibc

/// The bytes of a file that may hold a secret: they are overwritten when nobody needs them any more.
final class SecretFile {
    let path: String
    /// The permission bits, and the file's kind.
    let mode: mode_t
    private let base: UnsafeMutableRawPointer
    private let capacity: Int
    private var count = 0

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    /// Whether others than the owner may read it.
    var isOpenToOthers: Bool { mode & (S_IRGRP | S_IROTH) != 0 }

    /// - Throws: when the file is missing, is no file, cannot be read, or is longer than `TLSLimits.fileBytes`.
    init(_ path: String) throws(TLSLoadError) {
        // Non-blocking, so that a FIFO without a writer cannot hold us; for a regular file it means nothing.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw TLSLoadError(path, "cannot be read: \(Self.systemText())") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw TLSLoadError(path, "cannot be read: \(Self.systemText())") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw TLSLoadError(path, "is not a regular file") }
        guard status.st_size <= TLSLimits.fileBytes else {
            throw TLSLoadError(path, "is longer than \(TLSLimits.fileBytes >> 20) MiB")
        }
        self.path = path
        mode = status.st_mode
        // One byte more than the file has, so that the end is seen; a file that grows meanwhile is read again after its next change.
        capacity = Int(status.st_size) + 1
        base = .allocate(byteCount: capacity, alignment: 1)
        while count < capacity {
            let n = read(descriptor, base + count, capacity - count)
            if n < 0, errno == EINTR { continue }
            guard n >= 0 else { throw TLSLoadError(path, "cannot be read: \(Self.systemText())") }
            if n == 0 { break }
            count += n
        }
    }

    deinit {
        OPENSSL_cleanse(base, capacity)
        base.deallocate()
    }

    /// Whether this text stands in it; no copy is made.
    func contains(_ text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard length <= count else { return false }
        return (0...count - length).contains { memcmp(base + $0, text.utf8Start, length) == 0 }
    }

    /// What the C library calls the error that the last call met.
    static func systemText() -> String {
        let code = errno
        return strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}

import Glibc
import Primitives
import Reactor

/// A file, a pipe or a terminal that lines are written to, a batch at a time.
///
/// A write that fails costs the lines behind the one that it stopped in. That one is finished first when there is space again, so
/// that no line ever begins in the middle of another.
struct FileSink: Sendable {
    /// Lines that were lost with a write, and why.
    struct Loss {
        var lines = 0
        var error: Int?
    }

    /// A longer line is not finished, only ended.
    private static var tornBytesMax: Int { 65_536 }

    private(set) var descriptor: Int32
    private let path: String?
    /// What is missing of the last line that was begun, with its line feed.
    private var torn: [UInt8] = []

    /// One of the process's own descriptors.
    init(standard descriptor: Int32) {
        self.descriptor = descriptor
        path = nil
    }

    /// - Throws: the error number.
    init(path: String) throws(PollerError) {
        self.path = path
        descriptor = try openLogFile(path)
        // Left behind by a process that ended on a full disk.
        if !Self.endsWithLine(descriptor, path) { torn = [ASCII.lf] }
    }

    mutating func write(_ batch: [UInt8]) -> Loss {
        var loss = Loss()
        if !torn.isEmpty {
            let (written, error) = write(torn[...])
            torn.removeFirst(written)
            if let error {
                if error == SystemError.brokenPipe { loss.lines += dropTorn() }
                loss.lines += LineBatch.lines(batch[...])
                loss.error = error
                return loss
            }
        }
        let (written, error) = write(batch[...])
        guard let error else { return loss }
        loss.error = error
        var rest = batch[written...]
        // Another reader must not begin with the second half of a line.
        if written > 0, batch[written - 1] != ASCII.lf, error != SystemError.brokenPipe {
            let end = rest.firstIndex(of: ASCII.lf) ?? rest.endIndex - 1
            torn = Array(rest[...end])
            rest = rest[(end + 1)...]
            if torn.count > Self.tornBytesMax {
                torn = [ASCII.lf]
                loss.lines += 1
            }
        }
        loss.lines += LineBatch.lines(rest)
        return loss
    }

    /// Opens the file anew, for log rotation; keeps the old one where there is no new one to be had.
    /// - Returns: lines that were lost with it.
    mutating func reopen() -> Loss {
        guard let path else { return Loss() }
        do {
            let new = try openLogFile(path)
            let isSame = Self.isSameFile(new, descriptor)
            var loss = Loss()
            if !isSame {
                if !torn.isEmpty { torn.removeFirst(write(torn[...]).written) }
                loss.lines = dropTorn()
                if !Self.endsWithLine(new, path) { torn = [ASCII.lf] }
            }
            closeDescriptor(descriptor)
            descriptor = new
            return loss
        } catch {
            return Loss(lines: 0, error: error.error)
        }
    }

    /// - Returns: lines that were begun and will not be finished.
    mutating func close() -> Int {
        if path != nil { closeDescriptor(descriptor) }
        return dropTorn()
    }

    private mutating func dropTorn() -> Int {
        defer { torn = [] }
        return torn.count > 1 ? 1 : 0
    }

    private func write(_ bytes: ArraySlice<UInt8>) -> (written: Int, error: Int?) {
        bytes.withUnsafeBytes { bytes in
            guard let base = bytes.baseAddress else { return (0, nil) }
            var start = 0
            while start < bytes.count {
                let n = Glibc.write(descriptor, base + start, bytes.count - start)
                if n >= 0 {
                    start += n
                } else if errno == EINTR {
                    continue
                } else if errno == EAGAIN, waitWritable() {
                    continue
                } else {
                    return (start, Int(errno))
                }
            }
            return (start, nil)
        }
    }

    /// A pipe that nobody empties for a second has lost its lines.
    private func waitWritable() -> Bool {
        var event = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        let isWritable = poll(&event, 1, 1000) > 0 && event.revents & Int16(POLLOUT) != 0
        errno = EAGAIN
        return isWritable
    }

    private static func isSameFile(_ a: Int32, _ b: Int32) -> Bool {
        var first = stat()
        var second = stat()
        guard fstat(a, &first) == 0, fstat(b, &second) == 0 else { return false }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }

    /// Whether the next line can begin right behind what is in the file; so it is for all that is no file.
    private static func endsWithLine(_ written: Int32, _ path: String) -> Bool {
        var found = stat()
        guard fstat(written, &found) == 0, found.st_mode & S_IFMT == S_IFREG, found.st_size > 0 else { return true }
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { return true }
        defer { closeDescriptor(descriptor) }
        var last: UInt8 = ASCII.lf
        return pread(descriptor, &last, 1, found.st_size - 1) != 1 || last == ASCII.lf
    }
}

import Glibc

/// Standard output, until whoever reads it has gone.
enum Output {
    /// Writes the text, and a line end if it has none.
    ///
    /// - Throws: `OutputClosed`, or a `CommandFailure` when the text could not be written (a full disk).
    static func print(_ text: String) throws {
        try write(Array((text.hasSuffix("\n") ? text : text + "\n").utf8), to: 1)
    }

    static func print(_ bytes: [UInt8]) throws {
        try write(bytes.last == 0x0a ? bytes : bytes + [0x0a], to: 1)
    }

    /// A line for standard error. Nobody is left to tell when that fails.
    static func error(_ line: String) {
        do {
            try write(Array((line + "\n").utf8), to: 2)
        } catch {}
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) throws {
        var written = 0
        while written < bytes.count {
            let count = bytes[written...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 {
                written += count
                continue
            }
            switch errno {
            case EINTR: continue
            case EPIPE: throw OutputClosed()
            case EAGAIN:
                var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                poll(&entry, 1, -1)
            case let error:
                throw CommandFailure("cannot write: \(strerror(error).map { String(cString: $0) } ?? "error \(error)")")
            }
        }
    }
}

/// The reader of standard output has gone.
struct OutputClosed: Error {}

enum StandardStreams {
    /// Gives 0, 1 and 2 to /dev/null where the caller has closed them: or the next socket would get such a number, and a log line
    /// would be sent to a client.
    static func open() {
        while true {
            let descriptor = Glibc.open("/dev/null", O_RDWR)
            guard descriptor >= 0, descriptor <= 2 else {
                if descriptor > 2 { close(descriptor) }
                return
            }
        }
    }
}

enum TerminalWidth {
    /// Gives the argument parser a width that it can wrap lines to: it traps where there are fewer columns than it indents by.
    static func bound() {
        var size = winsize()
        let usual = ioctl(1, UInt(TIOCGWINSZ), &size) == 0 ? Int(size.ws_col) : 80
        let wanted = getenv("COLUMNS").flatMap { Int(String(cString: $0)) } ?? usual
        setenv("COLUMNS", "\(min(max(wanted, 60), 240))", 1)
    }
}

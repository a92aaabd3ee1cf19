import Glibc
import Logs
import Primitives
import Testing

@Suite struct LogWriterTests {
    /// A path in a directory of its own, gone again after `body`.
    private func withPath(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/sluice-log-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        let directory = String(cString: made)
        let path = directory + "/log"
        defer {
            unlink(path)
            unlink(path + ".1")
            rmdir(directory)
        }
        try body(path)
    }

    private func read(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func append(_ text: String, to writer: LogWriter) {
        Array(text.utf8).withUnsafeBytes { writer.append(RawSpan(_unsafeBytes: $0)) }
    }

    @Test func `lines are written whole and in their order`() throws {
        try withPath { path in
            let writer = try LogWriter(.file(path))
            for i in 0..<2_000 { append("line \(i)\n", to: writer) }
            writer.finish(milliseconds: 5_000)
            #expect(read(path) == (0..<2_000).map { "line \($0)\n" }.joined())
            #expect(writer.droppedLines == 0)
        }
    }

    @Test func `after a rotation lines go to the new file`() throws {
        try withPath { path in
            let writer = try LogWriter(.file(path))
            #expect(rename(path, path + ".1") == 0)
            writer.reopen()
            append("new\n", to: writer)
            writer.finish(milliseconds: 5_000)
            #expect(read(path) == "new\n")
            #expect(read(path + ".1") == "")
        }
    }

    @Test func `a full disk costs the lines and nothing else, and they are counted`() throws {
        let writer = try LogWriter(.file("/dev/full"))
        append("one\ntwo\nthree\n", to: writer)
        writer.finish(milliseconds: 5_000)
        #expect(writer.droppedLines == 3)
    }

    @Test func `a pipe that nobody reads holds no more than its share of memory and holds nobody up`() throws {
        try withPath { path in
            #expect(mkfifo(path, 0o600) == 0)
            // The daemon takes SIGPIPE as an event.
            signal(SIGPIPE, SIG_IGN)
            let reader = open(path, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            let writer = try LogWriter(.file(path))
            let line = String(repeating: "x", count: 1_023) + "\n"
            let megabyte = String(repeating: line, count: 1_024)
            // What waits, what is being written, and what the pipe takes are less than this.
            for _ in 0..<24 { append(megabyte, to: writer) }
            #expect(writer.droppedLines >= 4 * 1_024)
            #expect(writer.droppedLines % 1_024 == 0)
        }
    }

    @Test func `a path that cannot be opened is an error with its number`() {
        #expect { try LogWriter(.file("/proc/no/such/place")) } throws: { error in
            guard let error = error as? LogWriter.OpenError else { return false }
            return error.path == "/proc/no/such/place" && error.error == Int(ENOENT)
        }
    }
}

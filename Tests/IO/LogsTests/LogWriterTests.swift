import Glibc
import Primitives
import Telemetry
import Testing

@testable import Logs

@Suite struct LogWriterTests {
    private func withPath(_ body: (String) throws -> Void) throws { try withDirectory { try body($0 + "/log") } }

    @Test func `lines are written whole and in their order`() throws {
        try withPath { path in
            let writer = try LogWriter(.file(path))
            for i in 0..<2_000 { writer.append("line \(i)\n") }
            writer.finish(milliseconds: 5_000)
            #expect(contents(of: path) == (0..<2_000).map { "line \($0)\n" }.joined())
            #expect(writer.droppedLines == 0)
        }
    }

    @Test func `after a rotation lines go to the new file`() throws {
        try withPath { path in
            let writer = try LogWriter(.file(path))
            #expect(rename(path, path + ".1") == 0)
            writer.reopen()
            writer.append("new\n")
            writer.finish(milliseconds: 5_000)
            #expect(contents(of: path) == "new\n")
            #expect(contents(of: path + ".1") == "")
        }
    }

    @Test func `a full disk costs the lines and nothing else, and they are counted`() throws {
        let writer = try LogWriter(.file("/dev/full"))
        writer.append("one\ntwo\nthree\n")
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
            for _ in 0..<24 { writer.append(megabyte) }
            #expect(writer.droppedLines >= 4 * 1_024)
            writer.finish(milliseconds: 10_000)
            // What is not in the pipe has been counted, the line that did not fit whole among it.
            var taken = 0
            var bytes = [UInt8](repeating: 0, count: 65_536)
            while case let n = Glibc.read(reader, &bytes, bytes.count), n > 0 { taken += n }
            #expect(taken / 1_024 + Int(writer.droppedLines) == 24 * 1_024)
        }
    }

    @Test func `a path that cannot be opened is an error with its number`() {
        #expect { try LogWriter(.file("/proc/no/such/place")) } throws: { error in
            guard let error = error as? LogWriter.OpenError else { return false }
            return error.path == "/proc/no/such/place" && error.error == Int(ENOENT)
        }
    }

    /// Hardening 186.
    @Test func `a FIFO without a reader keeps nobody from starting, and its reader gets the lines`() throws {
        try withPath { path in
            #expect(mkfifo(path, 0o600) == 0)
            let writer = try LogWriter(.file(path))
            writer.append("one\n")
            let reader = open(path, O_RDONLY | O_NONBLOCK)
            defer { close(reader) }
            var event = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
            #expect(poll(&event, 1, Receiver.patience) == 1)
            var bytes = [UInt8](repeating: 0, count: 16)
            #expect(Glibc.read(reader, &bytes, 16) == 4)
            #expect(bytes[..<4] == Array("one\n".utf8)[...])
            writer.finish(milliseconds: 5_000)
            #expect(writer.droppedLines == 0)
        }
    }

    /// Hardening 186.
    @Test func `a failing file is said once on standard error, and not for each line`() throws {
        let notices = Notices()
        let writer = try LogWriter(.file("/dev/full"), notices: notices)
        writer.append("one\n")
        #expect(
            try notices.next().contains(#""message":"log cannot be written","log":"/dev/full","error":"No space left on device""#)
        )
        for _ in 0..<100 { writer.append("more\n") }
        writer.finish(milliseconds: 5_000)
        #expect(writer.droppedLines == 101)
        #expect(notices.all == [])
    }

    @Test func `a file that ends within a line is continued on a new one`() throws {
        try withPath { path in
            let file = try #require(fopen(path, "w"))
            fputs("whole\nhal", file)
            fclose(file)
            let writer = try LogWriter(.file(path))
            writer.append("next\n")
            writer.finish(milliseconds: 5_000)
            #expect(contents(of: path) == "whole\nhal\nnext\n")
        }
    }

    /// Hardening 186. A full pipe stops a write in the middle of a line, as a full disk does.
    @Test func `a line that was cut in two is finished when there is space again, before any other`() throws {
        try withPath { path in
            #expect(mkfifo(path, 0o600) == 0)
            var sink = try FileSink(path: path)
            let capacity = Int(fcntl(sink.descriptor, 1031, 4096))
            let line = String(repeating: "x", count: 1_000) + "\n"
            let written = Array(String(repeating: line, count: capacity / 1_000 + 4).utf8)
            let first = sink.write(written)
            #expect(first.error == Int(EAGAIN))
            var bytes = [UInt8](repeating: 0, count: 65_536)
            let taken = read(sink.descriptor, &bytes, bytes.count)
            #expect(taken % 1_001 != 0)
            var all = String(decoding: bytes[..<taken], as: UTF8.self)
            #expect(sink.write(Array("later\n".utf8)).error == nil)
            let rest = read(sink.descriptor, &bytes, bytes.count)
            all += String(decoding: bytes[..<rest], as: UTF8.self)
            let lines = all.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.dropLast(2).allSatisfy { $0.utf8.count == 1_000 })
            #expect(lines.suffix(2) == ["later", ""])
            #expect(lines.count - 2 + first.lines == capacity / 1_000 + 4)
            #expect(sink.close() == 0)
        }
    }

    /// Hardening 186.
    @Test func `on a full file system lines are counted, and when there is space again no line is broken`() throws {
        try withDirectory { directory in
            guard mount("tmpfs", directory, "tmpfs", 0, "size=64k") == 0 else { return }
            defer { umount2(directory, 2) }
            let path = directory + "/log"
            let notices = Notices()
            let writer = try LogWriter(.file(path), notices: notices)
            let line = String(repeating: "x", count: 99) + "\n"
            writer.append(String(repeating: line, count: 5_000))
            #expect(try notices.next().contains("No space left on device"))
            let lost = writer.droppedLines
            #expect(lost > 4_000)
            #expect(mount("tmpfs", directory, "tmpfs", 32, "size=4m") == 0)
            writer.append("later\n")
            writer.finish(milliseconds: 5_000)
            let lines = contents(of: path).split(separator: "\n")
            #expect(lines.last == "later")
            #expect(lines.dropLast().allSatisfy { $0.utf8.count == 99 })
            #expect(lines.count + Int(lost) == 5_001)
            #expect(writer.droppedLines == lost)
            unlink(path)
        }
    }
}

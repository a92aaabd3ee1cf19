import Glibc
import Primitives
import Telemetry
import Testing

@testable import Logs

/// Sinks against real sockets.
@Suite struct ReceiverTests {
    /// RFC 5424 §6, for messages of ours: no structured data, five parts that are printable ASCII.
    private func checkSyslog(_ message: String, severity: Int, id: String, line: String) throws {
        let parts = message.split(separator: " ", maxSplits: 7, omittingEmptySubsequences: false).map(String.init)
        try #require(parts.count == 8)
        #expect(parts[0] == "<\(24 + severity)>1")
        #expect(parts[1].wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z/) != nil)
        #expect((1...255).contains(parts[2].utf8.count) && parts[2].utf8.allSatisfy { (33...126).contains($0) })
        #expect(parts[3] == "sluice" && parts[4] == "\(getpid())" && parts[5] == id && parts[6] == "-")
        #expect(parts[7] == line)
    }

    @Test func `syslog over UDP gets one datagram a line, with its severity`() throws {
        let receiver = try Receiver.udp()
        let writer = try LogWriter(.syslog(.udp(host: "127.0.0.1", port: receiver.port)), .daemon)
        let levels: [(LogLevel, Int)] = [(.debug, 7), (.info, 6), (.warn, 4), (.error, 3)]
        for (level, _) in levels { writer.append("a line\nand one\n", severity: level) }
        for (_, number) in levels {
            try checkSyslog(receiver.text(), severity: number, id: "log", line: "a line")
            try checkSyslog(receiver.text(), severity: number, id: "log", line: "and one")
        }
        writer.finish(milliseconds: 5_000)
        #expect(writer.droppedLines == 0)
    }

    @Test func `a line that begins with its time has that time in syslog as well`() throws {
        let receiver = try Receiver.udp()
        let writer = try LogWriter(.syslog(.udp(host: "localhost", port: receiver.port)))
        let line = #"{"time":"2026-07-01T12:34:56.789012Z","level":"info"}"#
        writer.append(line + "\n" + #"{"time":"2026-07-01T12:34:56.78901 <Z","x":1}"# + "\n")
        let text = try receiver.text()
        #expect(text.hasPrefix("<30>1 2026-07-01T12:34:56.789012Z "))
        try checkSyslog(text, severity: 6, id: "access", line: line)
        try checkSyslog(receiver.text(), severity: 6, id: "access", line: #"{"time":"2026-07-01T12:34:56.78901 <Z","x":1}"#)
        writer.finish(milliseconds: 5_000)
    }

    @Test func `a line that is too long for a datagram is cut at a character`() throws {
        let receiver = try Receiver.udp()
        let writer = try LogWriter(.syslog(.udp(host: "127.0.0.1", port: receiver.port)))
        for shift in 0..<4 {
            writer.append(String(repeating: "x", count: shift) + String(repeating: "ü", count: 20_000) + "\n")
            let datagram = try receiver.receive()
            #expect((8191...8192).contains(datagram.count))
            let text = try #require(String(validating: datagram, as: UTF8.self))
            #expect(text.hasSuffix("üü"))
        }
        writer.finish(milliseconds: 5_000)
        #expect(writer.droppedLines == 0)
    }

    @Test func `hostile bytes in a line stay in its message`() throws {
        let receiver = try Receiver.tcp()
        let writer = try LogWriter(.syslog(.tcp(host: "127.0.0.1", port: receiver.port)))
        let lines = [
            "<30>1 - - - - - - x", "\u{0}\u{1b}[31m\r\u{7f}", "[a b=\"c\"]", "12 3", "ü\u{2028}\u{feff}", " ", "-",
        ]
        writer.append(lines.joined(separator: "\n") + "\n\n\n")
        let connection = try receiver.accept()
        for line in lines { try checkSyslog(connection.counted(), severity: 6, id: "access", line: line) }
        writer.finish(milliseconds: 5_000)
        #expect(try connection.receive() == [])
        #expect(writer.droppedLines == 0)
    }

    @Test func `a host name that syslog cannot show is a dash`() {
        let now = Timestamp(nanoseconds: 0)
        let line = Array("m".utf8)
        let hosts: [[UInt8]] = [[], Array("a b".utf8), Array("ü".utf8), Array(repeating: 0x61, count: 256)]
        for host in hosts {
            let header = SyslogHeader(host: host, process: 7, content: .daemon)
            var buffer = ByteBuffer(capacity: 16)
            header.append(.error, line.span.bytes, now: now, into: &buffer)
            #expect(
                String(decoding: buffer.bytes.array(), as: UTF8.self) == "<27>1 1970-01-01T00:00:00.000000Z - sluice 7 log - ")
            #expect(header.count == buffer.count)
        }
    }

    @Test func `syslog over TCP counts octets, and thousands of lines come whole and in order`() throws {
        let receiver = try Receiver.tcp()
        let writer = try LogWriter(.syslog(.tcp(host: "127.0.0.1", port: receiver.port)))
        let tail = String(repeating: "ü", count: 200)
        for i in 0..<5_000 { writer.append("line \(i) \(tail)\n") }
        let connection = try receiver.accept()
        for i in 0..<5_000 {
            let message = try connection.counted()
            #expect(message.hasSuffix(" - line \(i) \(tail)"))
        }
        writer.finish(milliseconds: 5_000)
        #expect(writer.droppedLines == 0)
    }

    @Test func `a Unix socket is written to in datagrams, or in lines where it is a stream`() throws {
        for isStream in [false, true] {
            try withDirectory { directory in
                let receiver = try Receiver.unix(directory + "/socket", isStream: isStream)
                let writer = try LogWriter(.syslog(.unix(path: directory + "/socket")))
                writer.append("one\ntwo\n")
                if isStream {
                    let connection = try receiver.accept()
                    for line in ["one", "two"] { try checkSyslog(connection.line(), severity: 6, id: "access", line: line) }
                } else {
                    for line in ["one", "two"] { try checkSyslog(receiver.text(), severity: 6, id: "access", line: line) }
                }
                writer.finish(milliseconds: 5_000)
                #expect(writer.droppedLines == 0)
            }
        }
    }

    @Test func `journald gets each line as an entry with its priority`() throws {
        try withDirectory { directory in
            let journal = try Receiver.unix(directory + "/socket")
            let writer = try LogWriter(.journald, journal: directory + "/socket")
            writer.append("a=b\n", severity: .warn)
            #expect(try journal.text() == "MESSAGE=a=b\nPRIORITY=4\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=sluice\n")
            writer.finish(milliseconds: 5_000)
            #expect(writer.droppedLines == 0)
        }
    }

    @Test func `a message with line feeds cannot add fields to a journal entry`() {
        var buffer = ByteBuffer(capacity: 16)
        let line = Array("a\nPRIORITY=0".utf8)
        JournalEntry.append(.info, line.span.bytes, into: &buffer)
        let expected =
            Array("MESSAGE\n".utf8) + [12, 0, 0, 0, 0, 0, 0, 0] + line
            + Array("\nPRIORITY=6\nSYSLOG_FACILITY=3\nSYSLOG_IDENTIFIER=sluice\n".utf8)
        #expect(buffer.bytes.array() == expected)
    }

    @Test func `lines wait for a receiver that is not there yet, and its absence is said once`() throws {
        try withDirectory { directory in
            let notices = Notices()
            let path = directory + "/socket"
            let writer = try LogWriter(.syslog(.unix(path: path)), notices: notices)
            let failure = try notices.next()
            #expect(failure.contains("log cannot be written") && failure.contains(path) && failure.contains("No such file"))
            for i in 0..<5 { writer.append("line \(i)\n") }
            let receiver = try Receiver.unix(path)
            for i in 0..<5 { #expect(try receiver.text().hasSuffix(" line \(i)")) }
            #expect(try notices.next().contains(#""message":"log is written again""#))
            writer.finish(milliseconds: 5_000)
            #expect(notices.all == [])
            #expect(writer.droppedLines == 0)
        }
    }

    @Test func `a receiver that restarts gets the lines of the time in between`() throws {
        let notices = Notices()
        var receiver: Receiver? = try .tcp()
        let port = try #require(receiver).port
        let writer = try LogWriter(.syslog(.tcp(host: "127.0.0.1", port: port)), notices: notices)
        writer.append("before\n")
        var connection = try receiver?.accept()
        #expect(try connection?.counted().hasSuffix(" before") == true)
        connection = nil
        receiver = nil
        writer.append("between\n")
        #expect(try notices.next().contains("log cannot be written"))
        let again = try Receiver.tcp(port: port)
        let second = try again.accept()
        writer.append("after\n")
        #expect(try second.counted().hasSuffix(" between"))
        #expect(try second.counted().hasSuffix(" after"))
        #expect(try notices.next().contains(#""lost":0"#))
        writer.finish(milliseconds: 5_000)
        #expect(writer.droppedLines == 0)
    }

    @Test func `a journal that restarts gets the lines of the time in between`() throws {
        try withDirectory { directory in
            let path = directory + "/socket"
            var journal: Receiver? = try .unix(path)
            let writer = try LogWriter(.journald, journal: path)
            writer.append("before\n")
            #expect(try journal?.text().hasPrefix("MESSAGE=before\n") == true)
            journal = nil
            unlink(path)
            writer.append("between\n")
            let again = try Receiver.unix(path)
            #expect(try again.text().hasPrefix("MESSAGE=between\n"))
            writer.finish(milliseconds: 5_000)
            #expect(writer.droppedLines == 0)
        }
    }

    @Test func `datagrams that nobody listens for are counted, and said to be lost once`() throws {
        let notices = Notices()
        var receiver: Receiver? = try .udp()
        let port = try #require(receiver).port
        let writer = try LogWriter(.syslog(.udp(host: "127.0.0.1", port: port)), notices: notices)
        writer.append("before\n")
        #expect(try receiver?.text().hasSuffix(" before") == true)
        receiver = nil
        writer.append("into the void\n")
        writer.append("kept\nkept too\n")
        #expect(try notices.next().contains("Connection refused"))
        let again = try Receiver.udp(port: port)
        // The first may go into the void as well, before the answer to it says that nobody listens.
        var text = try again.text()
        if text.hasSuffix(" kept") { text = try again.text() }
        #expect(text.hasSuffix(" kept too"))
        writer.finish(milliseconds: 5_000)
        #expect((1...2).contains(writer.droppedLines))
        #expect(notices.all.allSatisfy { !$0.contains("cannot") })
    }

    /// Hardening 186.
    @Test(arguments: [true, false])
    func `a receiver that never reads holds no more than its share of memory and holds nobody up`(isTCP: Bool) throws {
        try withDirectory { directory in
            let receiver = try isTCP ? Receiver.tcp() : Receiver.unix(directory + "/socket")
            let target: SyslogTarget =
                isTCP ? .tcp(host: "127.0.0.1", port: receiver.port) : .unix(path: directory + "/socket")
            let writer = try LogWriter(.syslog(target))
            let connection = isTCP ? try receiver.accept() : receiver
            let line = String(repeating: "x", count: 1_023) + "\n"
            let megabyte = String(repeating: line, count: 1_024)
            let start = ContinuousClock.now
            // What waits, and what the sockets take, are less than this.
            for _ in 0..<40 { writer.append(megabyte) }
            #expect(start.duration(to: .now) < .seconds(20))
            let droppedAtOnce = writer.droppedLines
            #expect(droppedAtOnce >= (isTCP ? 8 : 31) * 1_024)
            writer.finish(milliseconds: 10_000)
            // Every line is either there or counted.
            var received = 0
            if isTCP {
                do {
                    while true {
                        _ = try connection.counted()
                        received += 1
                    }
                } catch Receiver.Failure.silence {}
            } else {
                var event = pollfd(fd: receiver.socket, events: Int16(POLLIN), revents: 0)
                while poll(&event, 1, 0) > 0 {
                    _ = try receiver.receive()
                    received += 1
                }
            }
            #expect(received + Int(writer.droppedLines) == 40 * 1_024)
        }
    }

    @Test func `a receiver that reads again gets everything that was kept`() throws {
        let receiver = try Receiver.tcp()
        let writer = try LogWriter(.syslog(.tcp(host: "127.0.0.1", port: receiver.port)))
        let connection = try receiver.accept()
        let tail = String(repeating: "x", count: 1_000)
        let lines = (0..<7_000).map { "\($0) \(tail)\n" }.joined()
        writer.append(lines)
        for i in 0..<7_000 { #expect(try connection.counted().hasSuffix(" - \(i) \(tail)")) }
        #expect(writer.droppedLines == 0)
        writer.finish(milliseconds: 5_000)
    }

    @Test func `a datagram that is too large for the system is lost alone, and counted`() throws {
        try withDirectory { directory in
            let journal = try Receiver.unix(directory + "/socket")
            let writer = try LogWriter(.journald, journal: directory + "/socket")
            writer.append("a\n" + String(repeating: "x", count: 4 << 20) + "\nb\n")
            #expect(try journal.text().hasPrefix("MESSAGE=a\n"))
            #expect(try journal.text().hasPrefix("MESSAGE=b\n"))
            writer.finish(milliseconds: 5_000)
            #expect(writer.droppedLines == 1)
        }
    }

    @Test func `reopening connects anew`() throws {
        let receiver = try Receiver.tcp()
        let writer = try LogWriter(.syslog(.tcp(host: "127.0.0.1", port: receiver.port)))
        writer.append("one\n")
        let first = try receiver.accept()
        #expect(try first.counted().hasSuffix(" one"))
        writer.reopen()
        #expect(try first.receive() == [])
        writer.append("two\n")
        #expect(try receiver.accept().counted().hasSuffix(" two"))
        writer.finish(milliseconds: 5_000)
        #expect(writer.droppedLines == 0)
    }

    @Test func `a writer that ends while its receiver is away counts what it held and ends`() throws {
        try withDirectory { directory in
            let writer = try LogWriter(.syslog(.unix(path: directory + "/socket")))
            writer.append("one\ntwo\n")
            let start = ContinuousClock.now
            writer.finish(milliseconds: 10_000)
            #expect(start.duration(to: .now) < .seconds(5))
            #expect(writer.droppedLines == 2)
        }
    }

    @Test func `a name that is not found keeps nobody from starting`() throws {
        let notices = Notices()
        let writer = try LogWriter(.syslog(.tcp(host: "sluice.invalid", port: 514)), notices: notices)
        writer.append("one\n")
        #expect(try notices.next().contains("log cannot be written"))
        writer.finish(milliseconds: 10_000)
        #expect(writer.droppedLines == 1)
    }
}

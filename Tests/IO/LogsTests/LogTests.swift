import Glibc
import Primitives
import Telemetry
import Testing

@testable import Logs

@Suite struct LogTests {
    private func at(_ milliseconds: UInt64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    @Test func `a repeat is written with its count when its window ends, and at the end`() throws {
        try withDirectory { directory in
            let log = Log(try LogWriter(.file(directory + "/log"), .daemon), level: .info)
            for i in 0..<5 {
                log.write(.warn, "again", ["n": 1], at: at(UInt64(i) * 1_000), time: Timestamp(seconds: Int64(i)))
            }
            log.tick(at: at(9_999))
            log.write(.error, "other", [:], at: at(9_999), time: Timestamp(seconds: 9))
            log.tick(at: at(10_000))
            log.write(.error, "other", [:], at: at(11_000), time: Timestamp(seconds: 11))
            log.finish()
            #expect(
                contents(of: directory + "/log")
                    == #"{"time":"1970-01-01T00:00:00.000000Z","level":"warn","type":"log","message":"again","n":1}"# + "\n"
                    + #"{"time":"1970-01-01T00:00:09.000000Z","level":"error","type":"log","message":"other"}"# + "\n"
                    + #"{"time":"1970-01-01T00:00:04.000000Z","level":"warn","type":"log","message":"again","n":1,"repeated":4}"#
                    + "\n"
                    + #"{"time":"1970-01-01T00:00:11.000000Z","level":"error","type":"log","message":"other","repeated":1}"#
                    + "\n")
        }
    }

    @Test func `what is below the level is not written, and the level can be read`() throws {
        try withDirectory { directory in
            let log = Log(try LogWriter(.file(directory + "/log"), .daemon), level: .warn)
            log.info("no")
            log.warn("yes")
            #expect(log.level == .warn)
            log.setLevel(.debug)
            #expect(log.level == .debug)
            log.debug("now")
            log.finish()
            let text = contents(of: directory + "/log")
            #expect(!text.contains("no\"") && text.contains("yes") && text.contains("now"))
        }
    }

    @Test func `lines of the daemon go to syslog with their severity`() throws {
        let receiver = try Receiver.udp()
        let log = Log(try LogWriter(.syslog(.udp(host: "127.0.0.1", port: receiver.port)), .daemon), level: .info)
        log.error("one")
        log.info("two")
        let first = try receiver.text()
        #expect(first.hasPrefix("<27>1 ") && first.contains(" log - {") && first.contains(#""message":"one""#))
        #expect(try receiver.text().hasPrefix("<30>1 "))
        log.finish()
    }
}

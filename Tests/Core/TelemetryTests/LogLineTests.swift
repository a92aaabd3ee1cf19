import Primitives
import Testing

@testable import Telemetry

@Suite struct LogLineTests {
    private func line(_ level: LogLevel, _ message: String, _ values: KeyValuePairs<String, LogValue> = [:]) -> String {
        var buffer = ByteBuffer(capacity: 16)
        LogLine.append(level, at: Timestamp(nanoseconds: 1_500), message, values, into: &buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    @Test func `a line has time, level, type, message and its values in order`() {
        #expect(
            line(.warn, "reload refused", ["file": "a.yaml", "line": 12, "offset": -3, "kept": true, "path": "a\("b")"])
                == #"{"time":"1970-01-01T00:00:00.000001Z","level":"warn","type":"log","message":"reload refused","#
                + #""file":"a.yaml","line":12,"offset":-3,"kept":true,"path":"ab"}"# + "\n")
        #expect(LogLevel.debug < .info && LogLevel.info < .warn && LogLevel.warn < .error)
    }

    @Test func `messages, keys and values are escaped and cut`() throws {
        let text = line(.error, "a\n\"b\u{1b}", ["k\"\n": .string("v\r\n\u{2028}\\"), "n": .integer(.min)])
        let node = try StrictJSON.parse(text)
        #expect(node["message"]?.text == "a\n\"b\u{1b}")
        #expect(node["k\"\n"]?.text == "v\r\n\u{2028}\\")
        #expect(node["n"] == .number("-9223372036854775808"))
        let long = try StrictJSON.parse(
            line(.info, String(repeating: "m", count: 9999), ["v": .string(String(repeating: "v", count: 9999))]))
        #expect(long["message"]?.text?.count == 2048)
        #expect(long["v"]?.text?.count == 1024)
    }
}

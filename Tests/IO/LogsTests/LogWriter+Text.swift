import Glibc
import Primitives
import Telemetry

@testable import Logs

extension LogWriter {
    convenience init(
        _ target: Target, _ content: Content = .access, journal: String = "/nowhere", notices: Notices? = nil
    ) throws {
        try self.init(target, content: content, journalPath: journal, noticeDescriptor: notices?.writeEnd ?? -1)
    }

    func append(_ text: String, severity: LogLevel = .info) {
        let bytes = Array(text.utf8)
        append(bytes.span.bytes, severity: severity)
    }
}

func contents(of path: String) -> String {
    guard let file = fopen(path, "r") else { return "" }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while case let count = fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
    return String(decoding: bytes, as: UTF8.self)
}

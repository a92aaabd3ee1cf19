import Configuration
import HTTP1
import Health
import Primitives

/// How one instance is checked: what is sent, and what must come back. Made once for each configuration.
struct CheckPlan {
    enum Question {
        /// A connection is the answer.
        case connect
        /// - Parameter judge: one that has seen nothing yet; copied for each check.
        case ask(request: [UInt8], judge: CheckJudge)
        /// The request would hold a byte that no head may have; every check fails.
        case unwritable
    }

    let check: CheckConfiguration
    let authority: [UInt8]
    let question: Question

    init(_ check: CheckConfiguration, authority: [UInt8]) {
        self.check = check
        self.authority = authority
        switch check {
        case .tcp: question = .connect
        case .grpc: question = .unwritable
        case .http(let target, let host, let expectation):
            let request = Self.request(Array(target.utf8), host: host.map { Array($0.utf8) } ?? authority)
            question = request.map { .ask(request: $0, judge: CheckJudge(expectation)) } ?? .unwritable
        }
    }

    func isSame(_ other: CheckConfiguration, authority: [UInt8]) -> Bool { check == other && self.authority == authority }

    /// The whole request; it has no body, and the connection stays as HTTP/1.1 has it (RFC 9112 §9.3).
    private static func request(_ target: [UInt8], host: [UInt8]) -> [UInt8]? {
        var out = ByteBuffer(capacity: 256)
        let method: [UInt8] = [0x47, 0x45, 0x54]
        let mark = target.firstIndex(of: ASCII.question)
        let path = Array(target[..<(mark ?? target.endIndex)])
        let query = mark.map { Array(target[($0 + 1)...]) }
        let isStarted =
            if let query {
                HeadSerialiser.startRequest(
                    method: method.span.bytes, path: path.span.bytes, query: query.span.bytes, into: &out)
            } else {
                HeadSerialiser.startRequest(method: method.span.bytes, path: path.span.bytes, query: nil, into: &out)
            }
        guard isStarted, HeadSerialiser.field("Host", value: host.span.bytes, into: &out) else { return nil }
        out.append("User-Agent: sluice-health-check\r\nAccept: */*\r\n")
        HeadSerialiser.endOfHead(into: &out)
        return Array(out.unsafeBytes)
    }
}

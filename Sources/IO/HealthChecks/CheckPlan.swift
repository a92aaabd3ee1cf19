import Configuration
import GRPC
import HTTP1
import Health
import Primitives
import TLS
import Upstream

/// How one instance is checked: what is sent, and what must come back. Made once for each configuration.
struct CheckPlan {
    enum Question {
        /// A connection is the answer; it is not encrypted, whatever the instance speaks.
        case connect
        /// - Parameters:
        ///   - request: as the text of HTTP/1.1.
        ///   - judge: one that has seen nothing yet; copied for each check.
        case ask(request: [UInt8], judge: CheckJudge)
        /// A gRPC health check, always over HTTP/2.
        /// - Parameters:
        ///   - head: as the text of HTTP/1.1, without the timeout and the empty line behind it.
        ///   - message: the whole body.
        case call(head: [UInt8], message: [UInt8])
        /// The request would hold a byte that no head may have; every check fails.
        case unwritable
    }

    let check: CheckConfiguration
    let authority: [UInt8]
    let question: Question
    /// How the instance is spoken to. Over a reload that changes nothing of it, the sessions of the new one are used.
    var dialect: BackendDialect

    init(_ check: CheckConfiguration, authority: [UInt8], dialect: BackendDialect) {
        self.check = check
        self.authority = authority
        self.dialect = dialect
        switch check {
        case .tcp: question = .connect
        case .grpc(let service):
            question = Self.callHead(authority).map { .call(head: $0, message: Self.message(service)) } ?? .unwritable
        case .http(let target, let host, let expectation):
            let request = Self.request(Array(target.utf8), host: host.map { Array($0.utf8) } ?? authority)
            question = request.map { .ask(request: $0, judge: CheckJudge(expectation)) } ?? .unwritable
        }
    }

    func isSame(_ other: CheckConfiguration, authority: [UInt8], dialect: BackendDialect) -> Bool {
        check == other && self.authority == authority && self.dialect.isSame(as: dialect)
    }

    /// The one protocol to offer in the handshake; nil: what the dialect offers.
    var offer: TLSProtocol? {
        switch question {
        case .call: .h2
        case .connect, .ask, .unwritable: nil
        }
    }

    /// Whether the handshake has agreed on something that the check can use.
    func accepts(_ session: TLSSession) -> Bool {
        switch question {
        case .call: session.alpn == .h2
        case .connect, .ask, .unwritable: dialect.accepts(session)
        }
    }

    /// Whether the connection, once it stands, speaks HTTP/2.
    /// - Parameter session: nil where nothing is encrypted; then HTTP/2 is spoken by prior knowledge (RFC 9113 §3.3).
    func speaksHTTP2(_ session: TLSSession?) -> Bool {
        switch question {
        case .call: true
        case .connect, .ask, .unwritable: dialect.speaksHTTP2(session)
        }
    }

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

    private static func callHead(_ host: [UInt8]) -> [UInt8]? {
        var out = ByteBuffer(capacity: 256)
        out.append("POST ")
        out.append(HealthMessage.path)
        out.append(" HTTP/1.1\r\n")
        guard HeadSerialiser.field("Host", value: host.span.bytes, into: &out) else { return nil }
        out.append("User-Agent: sluice-health-check\r\nContent-Type: application/grpc\r\nTE: trailers\r\n")
        return Array(out.unsafeBytes)
    }

    private static func message(_ service: String) -> [UInt8] {
        var out = ByteBuffer(capacity: 64)
        HealthMessage.appendRequest(service: Array(service.utf8).span.bytes, to: &out)
        return Array(out.unsafeBytes)
    }
}

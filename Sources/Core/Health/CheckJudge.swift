import Primitives

/// Judges one check of an instance while its response comes in. Keeps no byte of it.
public struct CheckJudge: Sendable {
    /// The body is searched this far.
    public static var bodyMax: Int { 65_536 }

    @frozen
    public enum Verdict: Sendable, Hashable {
        case passed
        case failed(Fault)
    }

    public enum Fault: UInt8, Sendable, Hashable, CaseIterable {
        case notConnected, timedOut, malformed, status, field, body
        /// The connection could not be encrypted: a certificate that is not trusted, a backend without TLS, one that does not speak
        /// HTTP/2 where only that is wanted.
        case tlsFailed
        /// A gRPC call went well, and said something other than SERVING.
        case notServing
        /// A gRPC call ended with a status other than OK.
        case grpcStatus

        public var name: StaticString {
            switch self {
            case .notConnected: "not_connected"
            case .timedOut: "timed_out"
            case .malformed: "malformed"
            case .status: "status"
            case .field: "field"
            case .body: "body"
            case .tlsFailed: "tls_failed"
            case .notServing: "not_serving"
            case .grpcStatus: "grpc_status"
            }
        }
    }

    private enum State: Sendable {
        /// Nothing of a response yet. Becomes `inHead` or `judged`.
        case waiting
        /// The status is right. Becomes `inBody` or `judged`.
        case inHead(fieldSeen: Bool)
        /// Looks for the text: `matched` bytes of it are the end of what was read. Becomes `judged`.
        case inBody(matched: Int, read: Int)
        case judged(Verdict)
    }

    private let expectation: CheckExpectation
    /// For each byte of the text the length of the longest proper start of it that ends there (Knuth, Morris, Pratt 1977).
    private let borders: [Int]
    private var state = State.waiting

    public init(_ expectation: CheckExpectation) {
        self.expectation = expectation
        var borders = [Int](repeating: 0, count: expectation.body.count)
        var length = 0
        for i in expectation.body.indices.dropFirst() {
            while length > 0, expectation.body[i] != expectation.body[length] { length = borders[length - 1] }
            if expectation.body[i] == expectation.body[length] { length += 1 }
            borders[i] = length
        }
        self.borders = borders
    }

    /// What a TCP check says that got its connection.
    public static var connected: Verdict { .passed }

    public var verdict: Verdict? {
        if case .judged(let verdict) = state { verdict } else { nil }
    }

    /// The status of a final response. An interim one (1xx) is not told.
    public mutating func statusReceived(_ status: UInt16) -> Verdict? {
        guard case .waiting = state else { return verdict }
        guard expectation.accepts(status) else { return judged(.failed(.status)) }
        state = .inHead(fieldSeen: expectation.field == nil)
        return nil
    }

    public mutating func fieldReceived(name: RawSpan, value: RawSpan) {
        guard case .inHead(false) = state, let field = expectation.field, Self.equal(name, field.name),
            field.value.isEmpty || Self.contains(value, field.value)
        else { return }
        state = .inHead(fieldSeen: true)
    }

    public mutating func headEnded() -> Verdict? {
        guard case .inHead(let fieldSeen) = state else { return verdict ?? judged(.failed(.malformed)) }
        guard fieldSeen else { return judged(.failed(.field)) }
        guard !expectation.body.isEmpty else { return judged(.passed) }
        state = .inBody(matched: 0, read: 0)
        return nil
    }

    public mutating func bodyReceived(_ bytes: RawSpan) -> Verdict? {
        guard case .inBody(var matched, var read) = state else { return verdict }
        let text = expectation.body
        for offset in 0..<min(bytes.byteCount, Self.bodyMax - read) {
            let byte = bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
            while matched > 0, byte != text[matched] { matched = borders[matched - 1] }
            if byte == text[matched] { matched += 1 }
            read += 1
            if matched == text.count { return judged(.passed) }
        }
        guard read < Self.bodyMax else { return judged(.failed(.body)) }
        state = .inBody(matched: matched, read: read)
        return nil
    }

    /// The response is complete.
    public mutating func responseEnded() -> Verdict {
        switch state {
        case .waiting, .inHead: judged(.failed(.malformed))
        case .inBody: judged(.failed(.body))
        case .judged(let verdict): verdict
        }
    }

    /// There will be no (further) response.
    public mutating func gaveUp(_ fault: Fault) -> Verdict { verdict ?? judged(.failed(fault)) }

    private mutating func judged(_ verdict: Verdict) -> Verdict {
        state = .judged(verdict)
        return verdict
    }

    private static func equal(_ span: RawSpan, _ lowercase: [UInt8]) -> Bool {
        guard span.byteCount == lowercase.count else { return false }
        for (i, byte) in lowercase.enumerated()
        where CheckExpectation.lowered(span.unsafeLoad(fromByteOffset: i, as: UInt8.self)) != byte { return false }
        return true
    }

    private static func contains(_ span: RawSpan, _ text: [UInt8]) -> Bool {
        guard span.byteCount >= text.count else { return false }
        for start in 0...(span.byteCount - text.count) {
            var i = 0
            while i < text.count, span.unsafeLoad(fromByteOffset: start + i, as: UInt8.self) == text[i] { i += 1 }
            if i == text.count { return true }
        }
        return false
    }
}

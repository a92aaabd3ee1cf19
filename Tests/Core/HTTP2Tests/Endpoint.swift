import HTTP1
import HTTPMessages
import Primitives

@testable import HTTP2

/// An event in a form that can be compared and printed.
enum Seen: Equatable {
    case head(Int32, String, ends: Bool)
    case refused(Int32, status: UInt16)
    case data(Int32, [UInt8])
    case trailers(Int32, String)
    case end(Int32)
    case reset(Int32, UInt32, retry: Bool)
    case closed(Int32)
    case goAway(Int32, UInt32)
    case settings
    case ping
}

/// A session with what a test wants of it: events as values, frames as values, a clock to be moved.
final class Endpoint {
    private(set) var session: HTTP2Session
    let memory: HTTP2Memory
    let reader: FrameReader
    var now = Instant(nanoseconds: 1_000_000_000)
    /// The streams seen, by their number.
    var streams: [Int32: HTTP2StreamID] = [:]
    /// Whether data is consumed at once, and closed streams released.
    var isObliging = true
    private var out = ByteBuffer(capacity: 4096)

    init(_ role: HTTP2Role, memory shared: HTTP2Memory? = nil) {
        guard let memory = shared ?? HTTP2Memory(), let session = HTTP2Session(role, memory: memory, at: now, seed: 7) else {
            preconditionFailure("no memory")
        }
        self.memory = memory
        self.session = session
        switch role {
        case .server: reader = FrameReader()
        case .client: reader = FrameReader(skipping: preface.count)
        }
    }

    static func server(
        _ scheme: Scheme = .http, streams: Int = 100, limits: Limits = Limits(), requests: Int = 10_000, extended: Bool = false,
        window: Int = 262_144
    ) -> Endpoint {
        let endpoint = Endpoint(
            .server(
                HTTP2ServerPolicy(
                    scheme: scheme, maxConcurrentStreams: streams, streamWindowBytes: window, limits: limits,
                    requestsPerConnection: requests, extendedConnect: extended)))
        return endpoint
    }

    /// A server that has had the preface, SETTINGS and the acknowledgement of its own.
    static func openServer(
        _ scheme: Scheme = .http, streams: Int = 100, limits: Limits = Limits(), requests: Int = 10_000, extended: Bool = false,
        window: Int = 262_144
    ) -> Endpoint {
        let endpoint = server(
            scheme, streams: streams, limits: limits, requests: requests, extended: extended, window: window)
        _ = endpoint.write()
        _ = endpoint.receive(preface + settings() + settingsAcknowledgement)
        _ = endpoint.write()
        return endpoint
    }

    static func openClient(_ policy: HTTP2ClientPolicy = HTTP2ClientPolicy(), _ entries: [(UInt16, UInt32)] = []) -> Endpoint {
        let endpoint = Endpoint(.client(policy))
        _ = endpoint.write()
        _ = endpoint.receive(settings(entries) + settingsAcknowledgement)
        _ = endpoint.write()
        return endpoint
    }

    // MARK: in

    /// What `receive` returned last.
    private(set) var isOpen = true

    func receive(_ bytes: [UInt8]) -> [Seen] {
        // Memory that ends where the bytes do.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        isOpen = session.receive(UnsafeRawBufferPointer(copy), at: now)
        return events()
    }

    func events() -> [Seen] {
        var seen = [Seen]()
        while let event = session.nextEvent() { seen.append(value(event)) }
        return seen
    }

    private func value(_ event: HTTP2Event) -> Seen {
        switch event {
        case .head(let stream, let endsStream):
            streams[stream.number] = stream
            defer { session.takeHead(stream) }
            return .head(stream.number, latin1(session.headText(stream)), ends: endsStream)
        case .refusedHead(let stream, let fault):
            streams[stream.number] = stream
            return .refused(stream.number, status: fault.status)
        case .data(let stream, let bytes):
            if isObliging { session.consume(stream, bytes.count) }
            return .data(stream.number, Array(bytes))
        case .trailers(let stream): return .trailers(stream.number, latin1(session.trailerText(stream)))
        case .end(let stream): return .end(stream.number)
        case .reset(let stream, let code, let isSafe): return .reset(stream.number, code.rawValue, retry: isSafe)
        case .closed(let stream):
            if isObliging { session.released(stream, at: now) }
            return .closed(stream.number)
        case .goAway(let last, let code): return .goAway(last, code.rawValue)
        case .settings: return .settings
        case .pingAcknowledged: return .ping
        }
    }

    // MARK: out

    /// All that is to be written, as bytes.
    func writeBytes(limit: Int = 1 << 20) -> [UInt8] {
        out.clear()
        while session.write(into: &out, limit: limit) {}
        return Array(out.unsafeBytes)
    }

    /// The same once, as `write` hands it out.
    func writeOnce(limit: Int) -> (bytes: [UInt8], isMore: Bool) {
        out.clear()
        let isMore = session.write(into: &out, limit: limit)
        return (Array(out.unsafeBytes), isMore)
    }

    func write() -> [Frame] { reader.read(writeBytes()) }

    func fired(after seconds: UInt64) {
        now = now + .seconds(seconds)
        session.deadlineFired(at: now)
    }

    func release(_ stream: Int32) {
        if let id = streams[stream] { session.released(id, at: now) }
    }

    func respond(_ stream: Int32, _ text: String, end: Bool = true) -> Bool {
        guard let id = streams[stream] else { return false }
        return bytes(text).withUnsafeBytes { session.submitResponse(id, $0, endsStream: end) }
    }

    func interim(_ stream: Int32, _ text: String) -> Bool {
        guard let id = streams[stream] else { return false }
        return bytes(text).withUnsafeBytes { session.submitInterim(id, $0) }
    }

    func send(_ stream: Int32, _ body: [UInt8]) -> Bool {
        guard let id = streams[stream] else { return false }
        return body.withUnsafeBytes { session.send(id, $0) }
    }

    func sendAtOnce(_ stream: Int32, _ body: [UInt8], limit: Int = 1 << 20) -> [Frame] {
        guard let id = streams[stream] else { return [] }
        out.clear()
        _ = body.withUnsafeBytes { session.send(id, $0, into: &out, limit: limit) }
        return reader.read(Array(out.unsafeBytes))
    }

    func end(_ stream: Int32, trailers: String? = nil) -> Bool {
        guard let id = streams[stream] else { return false }
        guard let trailers else { return session.end(id) }
        return bytes(trailers).withUnsafeBytes { session.end(id, trailers: $0) }
    }

    func request(_ text: String, end: Bool = true, token: UInt64 = 0, upgrade: StaticString? = nil) -> Int32? {
        let id = bytes(text).withUnsafeBytes {
            session.submitRequest($0, scheme: .http, endsStream: end, token: token, upgrade: upgrade)
        }
        if let id { streams[id.number] = id }
        return id?.number
    }

    func with<Result>(_ stream: Int32, _ body: (inout HTTP2Session, HTTP2StreamID) -> Result) -> Result? {
        streams[stream].map { body(&session, $0) }
    }

    func withSession<Result>(_ body: (inout HTTP2Session) -> Result) -> Result { body(&session) }

    /// Tokens of the budget for frames that move nothing which are used up now.
    var glitches: UInt64 { session.state.pointee.control.used }
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// One scalar for each byte, so that no byte is lost in a comparison.
func latin1(_ bytes: UnsafeRawBufferPointer) -> String {
    var text = ""
    for byte in bytes { text.unicodeScalars.append(Unicode.Scalar(byte)) }
    return text
}

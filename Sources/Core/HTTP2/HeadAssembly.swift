import CNghttp2
import HTTP1
import HTTPMessages
import Primitives

/// What the text of a received head must keep to.
struct HeadRules {
    var scheme: Scheme
    var extendedConnect: Bool
    var limits: Limits
}

/// Turns one header block, field by field, into the text of an HTTP/1.1 head or trailer section.
///
/// Only one block is under way on a connection (RFC 9113 §4.3), so a session has one of these. The pseudo-fields come first, in
/// any order; they are held as nghttp2's own counted buffers until the first other field, which is when the start line is
/// written. Each name is checked to be a token and each value to have no control byte while it is copied, whatever nghttp2 has
/// checked before: a line end that got into the text would be a request of the peer's own making (RFC 9113 §10.3).
struct HeadAssembly {
    enum Kind {
        case none, request, response, trailers
    }

    enum Step {
        case good
        /// A stream error (RFC 9113 §8.1.1).
        case malformed
        /// Over a limit for the first time in this block: nothing more of it is kept.
        case overLimit
        /// So far over the limits that reading on is what the sender wants.
        case farOverLimit
    }

    let rules: HeadRules
    private(set) var kind = Kind.none
    private(set) var slot: UInt32 = 0
    /// The text so far.
    var text = Block()
    /// The limit that the block is over.
    private(set) var limit = HeadLimit.none
    /// Bytes of the start line and Host: what is kept of a block over the limits.
    private var startCount = 0
    private var isStarted = false
    private(set) var isExtendedConnect = false
    /// Fields, of cookies each part, and Σ(name + value + 32), dropped ones included (RFC 9113 §6.5.2).
    private var fieldCount = 0
    private var listBytes = 0
    private var method: OpaquePointer?
    private var path: OpaquePointer?
    private var scheme: OpaquePointer?
    private var authority: OpaquePointer?
    private var upgrade: OpaquePointer?
    private(set) var status: UInt16 = 0
    private var hasHost = false
    /// The end of the Cookie line; 0 when there is none.
    private var cookieEnd = 0

    init(_ rules: HeadRules) { self.rules = rules }

    /// Begins a block. What was left of another is dropped.
    mutating func begin(_ kind: Kind, slot: UInt32, _ pool: UnsafeMutablePointer<BlockPool>) {
        drop(pool)
        self.kind = kind
        self.slot = slot
        isStarted = kind == .trailers
    }

    /// Forgets the block and gives its memory back.
    mutating func drop(_ pool: UnsafeMutablePointer<BlockPool>) {
        release(&method)
        release(&path)
        release(&scheme)
        release(&authority)
        release(&upgrade)
        pool.pointee.give(&text)
        kind = .none
        limit = .none
        startCount = 0
        isStarted = false
        isExtendedConnect = false
        fieldCount = 0
        listBytes = 0
        status = 0
        hasHost = false
        cookieEnd = 0
    }

    /// A field of the block, in nghttp2's counted buffers.
    mutating func fieldReceived(
        _ nameBuffer: OpaquePointer, _ valueBuffer: OpaquePointer, _ random: inout RandomSource,
        _ pool: UnsafeMutablePointer<BlockPool>
    ) -> Step {
        let name = view(nameBuffer)
        let value = view(valueBuffer)
        guard let first = name.first else { return .malformed }
        let isPseudo = first == ASCII.colon
        // Both counts are below 2^24, since a header block is.
        listBytes &+= name.count &+ value.count &+ 32
        if !isPseudo { fieldCount &+= 1 }
        if listBytes > rules.limits.headerBytes || fieldCount > rules.limits.fieldCount
            || (!isPseudo && name.count &+ value.count &+ 2 > rules.limits.fieldBytes)
        {
            return tooLarge(&random, pool)
        }
        guard limit == .none else { return .good }
        if isPseudo { return pseudoField(name, value, valueBuffer) }
        if !isStarted {
            let step = start(&random, pool)
            guard step == .good else { return step }
        }
        switch name.count {
        case 4 where kind == .request && equals(name, "host"): return host(name, value, pool)
        case 6 where kind == .request && cookieEnd > 0 && equals(name, "cookie"): return cookieCrumb(value, pool)
        case 6 where kind == .request && equals(name, "cookie"):
            let step = line(name, value, pool)
            cookieEnd = text.count
            return step
        case 17 where isExtendedConnect && equals(name, "sec-websocket-key"): return .good
        default: return line(name, value, pool)
        }
    }

    /// The block is complete. On `.good` the text is too.
    mutating func end(
        _ random: inout RandomSource, _ pool: UnsafeMutablePointer<BlockPool>
    ) -> Step {
        if limit == .none, !isStarted {
            let step = start(&random, pool)
            guard step != .malformed else { return step }
        }
        if kind == .request, limit == .none, authority == nil, !hasHost { return .malformed }
        if !text.isEmpty || kind == .trailers { text.append("\r\n", pool) }
        return limit == .none ? .good : .overLimit
    }

    /// The text, which is the caller's from now on.
    mutating func takeText() -> Block {
        let taken = text
        text = Block()
        return taken
    }

    // MARK: the parts

    private mutating func line(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ pool: UnsafeMutablePointer<BlockPool>
    ) -> Step {
        guard let nameStart = name.baseAddress else { return .malformed }
        let size = name.count &+ value.count &+ 4
        let to = text.reserve(size, pool)
        let nameBytes = nameStart.assumingMemoryBound(to: UInt8.self)
        // An empty value may have no address; nothing is read from the one that stands in for it.
        let valueBytes = (value.baseAddress ?? nameStart).assumingMemoryBound(to: UInt8.self)
        guard Scan.writeLine(to, name: nameBytes, name.count, value: valueBytes, value.count) else { return .malformed }
        text.wrote(size)
        return .good
    }

    private mutating func pseudoField(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ buffer: OpaquePointer
    ) -> Step {
        switch kind {
        case .request:
            switch (name.count, name[1]) {
            case (5, UInt8(ascii: "p")): return keep(buffer, in: &path)
            case (7, UInt8(ascii: "m")): return keep(buffer, in: &method)
            case (7, UInt8(ascii: "s")): return keep(buffer, in: &scheme)
            case (9, UInt8(ascii: "p")): return keep(buffer, in: &upgrade)
            case (10, UInt8(ascii: "a")): return keep(buffer, in: &authority)
            default: return .malformed
            }
        case .response:
            guard status == 0, value.count == 3 else { return .malformed }
            var number: UInt16 = 0
            for digit in value {
                guard ASCII.isDigit(digit) else { return .malformed }
                number = number &* 10 &+ UInt16(digit &- ASCII.zero)
            }
            // 101 has no meaning here (RFC 9113 §8.6), and there is no status above 599.
            guard number >= 100, number <= 599, number != 101 else { return .malformed }
            status = number
            return .good
        case .trailers, .none: return .malformed
        }
    }

    private func keep(_ buffer: OpaquePointer, in place: inout OpaquePointer?) -> Step {
        guard place == nil else { return .malformed }
        nghttp2_rcbuf_incref(buffer)
        place = buffer
        return .good
    }

    private func release(_ place: inout OpaquePointer?) {
        guard let buffer = place else { return }
        nghttp2_rcbuf_decref(buffer)
        place = nil
    }

    /// Writes the start line, and Host from `:authority`.
    private mutating func start(
        _ random: inout RandomSource, _ pool: UnsafeMutablePointer<BlockPool>
    ) -> Step {
        isStarted = true
        switch kind {
        case .request: return startRequest(&random, pool)
        case .response:
            guard status != 0 else { return .malformed }
            text.append("HTTP/1.1 ", pool)
            let to = text.reserve(6, pool)
            to[0] = UInt8(truncatingIfNeeded: 48 &+ status / 100)
            to[1] = UInt8(truncatingIfNeeded: 48 &+ status / 10 % 10)
            to[2] = UInt8(truncatingIfNeeded: 48 &+ status % 10)
            to[3] = ASCII.space
            to[4] = ASCII.cr
            to[5] = ASCII.lf
            text.wrote(6)
            startCount = text.count
            return .good
        case .trailers, .none: return .good
        }
    }

    private mutating func startRequest(
        _ random: inout RandomSource, _ pool: UnsafeMutablePointer<BlockPool>
    ) -> Step {
        guard let method else { return .malformed }
        let name = view(method)
        let host = authority.map(view)
        if let host { guard isAuthority(host) else { return .malformed } }
        let isConnect = name.count == 7 && equals(name, "CONNECT")
        var target: UnsafeRawBufferPointer
        if isConnect, upgrade == nil {
            guard let host else { return .malformed }
            target = host
        } else {
            guard let scheme, equals(view(scheme), rules.scheme.name), let path else { return .malformed }
            target = view(path)
            let isPath = target.first == ASCII.slash
            guard isPath || (equals(target, "*") && equals(name, "OPTIONS")) else { return .malformed }
            if isConnect {
                isExtendedConnect = rules.extendedConnect && upgrade.map { equals(view($0), "websocket") } ?? false
                if !isExtendedConnect {
                    // Some other protocol: to be refused like a plain CONNECT.
                    guard let host else { return .malformed }
                    target = host
                }
            }
        }
        guard target.count <= rules.limits.requestTargetBytes else {
            limit = .target
            return .overLimit
        }
        guard isToken(name), name.count <= 32, isTarget(target) else { return .malformed }
        text.reserveAtLeast(name.count &+ target.count &+ (host?.count ?? 0) &+ 256, pool)
        if isExtendedConnect { text.append("GET", pool) } else { text.append(name, pool) }
        text.append(" ", pool)
        text.append(target, pool)
        text.append(" HTTP/1.1\r\n", pool)
        if let host {
            text.append("Host: ", pool)
            text.append(host, pool)
            text.append("\r\n", pool)
        }
        if isExtendedConnect {
            // RFC 8441 §5: what HTTP/1.1 says with these fields is said by `:protocol`; the key is a nonce of the hop.
            text.append("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ", pool)
            writeKey(&random, pool)
            text.append("\r\n", pool)
        }
        startCount = text.count
        return .good
    }

    /// 16 random bytes in Base64 (RFC 6455 §4.1).
    private mutating func writeKey(_ random: inout RandomSource, _ pool: UnsafeMutablePointer<BlockPool>) {
        let bytes: InlineArray<2, UInt64> = [random.next(), random.next()]
        var key = ByteBuffer(capacity: 24)
        key.append(base64: bytes.span.bytes)
        text.append(key.unsafeBytes, pool)
    }

    /// `Host` must say what `:authority` says, and is dropped then (RFC 9113 §8.3.1).
    private mutating func host(
        _ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ pool: UnsafeMutablePointer<BlockPool>
    ) -> Step {
        guard !hasHost, isAuthority(value) else { return .malformed }
        hasHost = true
        guard let authority else { return line(name, value, pool) }
        let other = view(authority)
        guard other.count == value.count else { return .malformed }
        for i in 0..<value.count where ASCII.lowercased(value[i]) != ASCII.lowercased(other[i]) { return .malformed }
        return .good
    }

    /// Adds a part to the Cookie line, wherever that is by now (RFC 9113 §8.2.3).
    private mutating func cookieCrumb(_ value: UnsafeRawBufferPointer, _ pool: UnsafeMutablePointer<BlockPool>) -> Step {
        guard let from = value.baseAddress else { return .good }
        let bytes = from.assumingMemoryBound(to: UInt8.self)
        guard Scan.control(bytes, value.count) == value.count else { return .malformed }
        let gap = text.open(value.count &+ 2, at: cookieEnd - 2, pool)
        gap[0] = ASCII.semicolon
        gap[1] = ASCII.space
        UnsafeMutableRawPointer(gap + 2).copyMemory(from: from, byteCount: value.count)
        cookieEnd += value.count + 2
        return .good
    }

    /// A field that makes the block exceed a limit, or one behind it.
    @inline(never)
    private mutating func tooLarge(
        _ random: inout RandomSource, _ pool: UnsafeMutablePointer<BlockPool>
    ) -> Step {
        if listBytes > 4 &* rules.limits.headerBytes || fieldCount > 4 &* rules.limits.fieldCount { return .farOverLimit }
        guard limit == .none else { return .good }
        if !isStarted, method != nil, scheme != nil || kind == .response {
            guard start(&random, pool) != .malformed else { return .malformed }
        }
        limit =
            fieldCount > rules.limits.fieldCount
            ? .count : listBytes > rules.limits.headerBytes ? (path != nil || kind != .request ? .list : .target) : .field
        if text.count > startCount { text.truncate(to: startCount) }
        return .overLimit
    }

    private func isAuthority(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count > 0, isTarget(bytes) else { return false }
        for byte in bytes where byte == UInt8(ascii: "@") || byte == ASCII.comma || byte == ASCII.slash { return false }
        return true
    }

    private func isTarget(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress else { return false }
        return bytes.count > 0 && Scan.target(start.assumingMemoryBound(to: UInt8.self), bytes.count) == bytes.count
    }

    private func isToken(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress else { return false }
        return bytes.count > 0 && Scan.token(start.assumingMemoryBound(to: UInt8.self), bytes.count) == bytes.count
    }
}

/// The bytes of a counted buffer, which live as long as it does.
@inline(__always)
func view(_ buffer: OpaquePointer) -> UnsafeRawBufferPointer {
    let bytes = nghttp2_rcbuf_get_buf(buffer)
    return UnsafeRawBufferPointer(start: bytes.base, count: bytes.len)
}

@inline(__always)
func equals(_ bytes: UnsafeRawBufferPointer, _ text: StaticString) -> Bool { RawSpan(_unsafeBytes: bytes).equals(text) }

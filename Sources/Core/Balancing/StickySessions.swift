import Primitives

/// The cookie that keeps a client with one instance.
///
/// Its value is base64url(identity ‖ time of issue ‖ tag): 8 bytes that stand for the instance, 4 for seconds since 1970, and a
/// tag of 16 under a secret key. The identity is made with the key as well, so that no address can be guessed from it.
public struct StickySessions: Sendable {
    public enum SameSite: Sendable {
        case lax
        case strict
        /// Browsers take it only with `Secure`, which is then always sent.
        case none
    }

    public struct Policy: Sendable {
        /// A token.
        public var name: [UInt8]
        /// Without `;` and control bytes.
        public var path: [UInt8] = [ASCII.slash]
        /// How long a session lives without a request.
        public var maxAgeSeconds: UInt32 = 3600
        public var isHTTPOnly = true
        /// Sent with `Secure` also where the client does not come over TLS.
        public var isSecure = false
        public var sameSite = SameSite.lax

        public init(name: [UInt8]) { self.name = name }
    }

    /// What a request's cookie says.
    public enum Reading: Equatable, Sendable {
        /// No cookie, or none to be trusted: forged, expired, or of an instance that is gone.
        case none
        /// - Parameters:
        ///   - instance: its index.
        ///   - isAging: a new cookie is due, so that a client that comes again keeps its session.
        case session(instance: Int, isAging: Bool)
    }

    /// Bytes before and with base64url.
    static let bytes = 28
    static let characters = 38

    public let policy: Policy
    private let key: SipHash.Key
    /// For each instance.
    private let identities: [UInt64]

    /// - Parameters:
    ///   - key: secret, and the same on all gateways that serve the same clients.
    ///   - service: a session of one service is none of another.
    ///   - instances: what they are called, in the order of their indices.
    public init(_ policy: Policy, key: SipHash.Key, service: String, instances: [String]) {
        self.policy = policy
        self.key = key
        identities = instances.map { name in
            let text = [UInt8(0)] + Array(service.utf8) + [0] + Array(name.utf8)
            return SipHash.tag(text.span.bytes, key: key).first
        }
    }

    /// Reads one line of `Cookie` (RFC 6265 §5.4); of several cookies of our name the first that can be trusted counts.
    /// - Parameter now: seconds since 1970. A cookie from the future, as after a clock was put back, is good and aging.
    public func read(_ cookies: RawSpan, atUnixSeconds now: UInt64) -> Reading {
        var start = 0
        let end = cookies.byteCount
        while start < end {
            let rest = cookies.extracting(start..<end)
            let length = rest.firstIndex(of: ASCII.semicolon) ?? rest.byteCount
            let pair = rest.extracting(0..<length).trimmingWhitespace()
            start += length + 1
            guard let equals = pair.firstIndex(of: ASCII.equals), pair.extracting(0..<equals).equals(policy.name.span.bytes)
            else { continue }
            switch readValue(pair.extracting((equals + 1)..<pair.byteCount), now) {
            case .none: continue
            case .session(let instance, let isAging): return .session(instance: instance, isAging: isAging)
            }
        }
        return .none
    }

    /// Appends the value of a `Set-Cookie` field that binds the client to this instance.
    public func appendCookie(for instance: Int, atUnixSeconds now: UInt64, isSecure: Bool, to buffer: inout ByteBuffer) {
        buffer.append(policy.name.span.bytes)
        buffer.append(ASCII.equals)
        appendValue(identities[instance], UInt32(truncatingIfNeeded: now), to: &buffer)
        buffer.append("; Path=")
        buffer.append(policy.path.span.bytes)
        buffer.append("; Max-Age=")
        buffer.append(decimal: UInt64(policy.maxAgeSeconds))
        if policy.isHTTPOnly { buffer.append("; HttpOnly") }
        switch policy.sameSite {
        case .lax: buffer.append("; SameSite=Lax")
        case .strict: buffer.append("; SameSite=Strict")
        case .none: return buffer.append("; SameSite=None; Secure")
        }
        if isSecure || policy.isSecure { buffer.append("; Secure") }
    }

    private func readValue(_ text: RawSpan, _ now: UInt64) -> Reading {
        guard text.byteCount == Self.characters else { return .none }
        var value = InlineArray<28, UInt8>(repeating: 0)
        var held: UInt32 = 0
        var heldBits: UInt32 = 0
        var place = 0
        for i in 0..<text.byteCount {
            guard let bits = Self.bits(text[i]) else { return .none }
            held = held << 6 | UInt32(bits)
            heldBits += 6
            if heldBits >= 8 {
                heldBits -= 8
                value[place] = UInt8(truncatingIfNeeded: held >> heldBits)
                place += 1
            }
        }
        // 38 characters hold four bits more than 28 bytes do.
        guard held & 15 == 0 else { return .none }
        let identity = Self.number(value, 0, 8)
        let issued = UInt32(truncatingIfNeeded: Self.number(value, 8, 4))
        let tag = tag(identity, issued)
        guard (tag.first ^ Self.number(value, 12, 8)) | (tag.second ^ Self.number(value, 20, 8)) == 0 else { return .none }
        let age = now > UInt64(issued) ? now - UInt64(issued) : 0
        guard age < UInt64(policy.maxAgeSeconds), let instance = identities.firstIndex(of: identity) else { return .none }
        // A tenth: a client is sent few cookies, and is lost only when it stays away for nine tenths of the time.
        return .session(instance: instance, isAging: age >= UInt64(policy.maxAgeSeconds / 10) || now < UInt64(issued))
    }

    private func tag(_ identity: UInt64, _ issued: UInt32) -> SipHash.Tag {
        // The first byte keeps this apart from what identities are made of.
        var message = InlineArray<13, UInt8>(repeating: 1)
        for i in 0..<8 { message[1 + i] = UInt8(truncatingIfNeeded: identity >> UInt64(56 - 8 * i)) }
        for i in 0..<4 { message[9 + i] = UInt8(truncatingIfNeeded: issued >> UInt32(24 - 8 * i)) }
        return SipHash.tag(message.span.bytes, key: key)
    }

    private func appendValue(_ identity: UInt64, _ issued: UInt32, to buffer: inout ByteBuffer) {
        let tag = tag(identity, issued)
        var held: UInt32 = 0
        var heldBits: UInt32 = 0
        for i in 0..<Self.bytes {
            let byte: UInt64
            switch i {
            case ..<8: byte = identity >> UInt64(56 - 8 * i)
            case ..<12: byte = UInt64(issued) >> UInt64(24 - 8 * (i - 8))
            case ..<20: byte = tag.first >> UInt64(56 - 8 * (i - 12))
            default: byte = tag.second >> UInt64(56 - 8 * (i - 20))
            }
            held = held << 8 | UInt32(byte & 255)
            heldBits += 8
            while heldBits >= 6 {
                heldBits -= 6
                buffer.append(Self.character(UInt8(held >> heldBits & 63)))
            }
        }
        buffer.append(Self.character(UInt8(held << (6 - heldBits) & 63)))
    }

    /// Base64url (RFC 4648 §5).
    private static func character(_ bits: UInt8) -> UInt8 {
        switch bits {
        case ..<26: 65 + bits
        case ..<52: 71 + bits
        case ..<62: bits - 4
        case 62: ASCII.dash
        default: ASCII.underscore
        }
    }

    private static func bits(_ character: UInt8) -> UInt8? {
        switch character {
        case 65...90: character - 65
        case 97...122: character - 71
        case 48...57: character + 4
        case ASCII.dash: 62
        case ASCII.underscore: 63
        default: nil
        }
    }

    private static func number(_ bytes: InlineArray<28, UInt8>, _ start: Int, _ count: Int) -> UInt64 {
        var number: UInt64 = 0
        for i in 0..<count { number = number << 8 | UInt64(bytes[start + i]) }
        return number
    }
}

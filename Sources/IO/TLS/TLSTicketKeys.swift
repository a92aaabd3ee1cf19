import COpenSSL
import Primitives
import Synchronization

/// The keys that session tickets are sealed with: one for all servers and workers of the process, kept over reloads, and never
/// written down. A ticket can be used until its key has been replaced twice.
public final class TLSTicketKeys: Sendable {
    struct Ring {
        /// Another number for each ring.
        var generation: UInt64
        var current: TicketSecret
        var previous: TicketSecret?
        var since: Instant
    }

    private let ring: Mutex<Ring>
    /// The ring's generation, to be looked at without the lock.
    private let generation = Atomic<UInt64>(1)

    public init(at now: Instant) throws(TLSLoadError) {
        ring = Mutex(Ring(generation: 1, current: try TicketSecret(), previous: nil, since: now))
    }

    /// Replaces the key, and forgets the one before it.
    public func rotate(at now: Instant) throws(TLSLoadError) {
        let fresh = try TicketSecret()
        ring.withLock { ring in
            ring = Ring(generation: ring.generation + 1, current: fresh, previous: ring.current, since: now)
            generation.store(ring.generation, ordering: .releasing)
        }
    }

    /// Replaces the key when it has sealed for `age`. Whoever learns it can read what the TLS 1.2 sessions said that it sealed.
    /// - Returns: whether it did.
    public func rotateIfDue(after age: TimeAmount, at now: Instant) throws(TLSLoadError) -> Bool {
        guard ring.withLock({ now.since($0.since) >= age }) else { return false }
        try rotate(at: now)
        return true
    }

    var currentGeneration: UInt64 { generation.load(ordering: .acquiring) }

    func snapshot() -> Ring { ring.withLock { $0 } }
}

/// A random name and secret. The secret is overwritten when nobody holds it any more.
final class TicketSecret: Sendable {
    static var nameBytes: Int { 16 }
    private static var secretBytes: Int { 32 }

    private nonisolated(unsafe) let base: UnsafeMutableRawPointer

    init() throws(TLSLoadError) {
        let count = Self.nameBytes + Self.secretBytes
        base = .allocate(byteCount: count, alignment: 16)
        guard RAND_priv_bytes(base.assumingMemoryBound(to: UInt8.self), Int32(count)) == 1 else {
            throw TLSLoadError("session tickets", "there is no randomness for a key: \(openSSLText())")
        }
    }

    deinit {
        OPENSSL_cleanse(base, Self.nameBytes + Self.secretBytes)
        base.deallocate()
    }

    var name: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: Self.nameBytes) }

    /// The keys that follow from the secret for one policy: those of another cannot be told from them.
    func key(for policy: [UInt8]) -> TicketKey? {
        let key = TicketKey(name: name)
        var count: UInt32 = 0
        let secret = base + Self.nameBytes
        guard HMAC(EVP_sha512(), secret, Int32(Self.secretBytes), policy, policy.count, key.keys, &count) != nil, count == 64
        else {
            return nil
        }
        return key
    }
}

/// What one ticket is sealed with under one policy: 32 bytes for AES-256 and 32 for HMAC-SHA256.
final class TicketKey: Sendable {
    private nonisolated(unsafe) let base: UnsafeMutablePointer<UInt8>

    init(name: UnsafeRawBufferPointer) {
        base = .allocate(capacity: name.count + 64)
        for (i, byte) in name.enumerated() { base[i] = byte }
    }

    deinit {
        OPENSSL_cleanse(base, TicketSecret.nameBytes + 64)
        base.deallocate()
    }

    var name: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: TicketSecret.nameBytes) }
    var keys: UnsafeMutablePointer<UInt8> { base + TicketSecret.nameBytes }
}

/// What an event or a timer is about: the kind of thing, where it is, and which of those that were there in turn.
///
/// A descriptor's number is reused at once, so an event that was queued for the old one must not reach the new one: the
/// generation tells them apart. Fits epoll's 64-bit word.
public struct Token: Hashable, Sendable {
    public enum Kind: UInt8, Sendable {
        case mailbox, listener, client, backend, exchange
    }

    public let raw: UInt64

    @inlinable
    public init(raw: UInt64) { self.raw = raw }

    @inlinable
    public init(_ kind: Kind, index: Int, generation: UInt32) {
        raw = UInt64(kind.rawValue) << 56 | UInt64(generation & 0xff_ffff) << 32 | UInt64(UInt32(truncatingIfNeeded: index))
    }

    /// Nil for a word that no token made.
    @inlinable
    public var kind: Kind? { Kind(rawValue: UInt8(raw >> 56)) }
    @inlinable
    public var index: Int { Int(raw & 0xffff_ffff) }
    /// The lower 24 bits of the slot's generation.
    @inlinable
    public var generation: UInt32 { UInt32(raw >> 32 & 0xff_ffff) }
}

import Primitives

/// The 64 bits that a request is placed by. The same on every worker, every gateway and after every start.
public struct HashKey: Hashable, Sendable {
    public let bits: UInt64

    public init(bits: UInt64) { self.bits = bits }

    /// By the value of a header, a cookie, a parameter, or by the path.
    public init(_ bytes: RawSpan) { bits = SipHash.tag(bytes, key: SipHash.Key(first: 0, second: 0)).first }

    /// By the client: the whole IPv4 address, or the /64 that one IPv6 customer holds.
    @inlinable
    public init(_ client: IPAddress) {
        let key = client.countingKey
        bits = Self.mix(Self.mix(key.high) ^ key.low)
    }

    /// SplitMix64's last step: each bit of the result depends on each bit given.
    @inlinable
    static func mix(_ bits: UInt64) -> UInt64 {
        var z = bits &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// Bits for this key together with an instance, or with the number of a try.
    @inlinable
    func mixed(with other: UInt64) -> UInt64 { Self.mix(bits ^ other) }

    /// From 0 up to but not including `bound`.
    @inlinable
    static func scaled(_ bits: UInt64, to bound: UInt64) -> UInt64 { bits.multipliedFullWidth(by: bound).high }
}

/// A short name for the state of a configuration, for an `ETag`: the same for the same bytes and variables under one salt.
///
/// It tells accidental change apart, not forgery (FNV-1a). The salt keeps those who do not know it from trying secrets out on it.
public enum ConfigurationDigest {
    /// Sixteen hexadecimal digits.
    public static func text(_ origin: ConfigurationOrigin, salt: UInt64) -> String {
        var hash = Hash()
        hash.add(withUnsafeBytes(of: salt) { Array($0) })
        hash.add(origin.bytes)
        for (name, value) in origin.environment.sorted(by: { $0.key < $1.key }) {
            hash.add(Array(name.utf8))
            hash.add(Array(value.utf8))
        }
        let digits = String(hash.state, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    private struct Hash {
        var state: UInt64 = 0xcbf2_9ce4_8422_2325

        /// The length goes first, so that bytes cannot move from one part to the next unseen.
        mutating func add(_ bytes: [UInt8]) {
            var count = UInt64(bytes.count)
            for _ in 0..<8 {
                add(UInt8(truncatingIfNeeded: count))
                count >>= 8
            }
            for byte in bytes { add(byte) }
        }

        private mutating func add(_ byte: UInt8) { state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    }
}

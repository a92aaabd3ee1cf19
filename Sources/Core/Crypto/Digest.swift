import COpenSSL
import Primitives

/// The SHA-1 digest of some bytes (FIPS 180-4): no protection any more, but what RFC 6455 §4.2.2 asks for in
/// `Sec-WebSocket-Accept`, where it need not be one.
public struct SHA1Digest: Sendable {
    public let bytes: InlineArray<20, UInt8>

    /// Nil when OpenSSL is out of memory, or its configuration forbids the algorithm.
    public init?(of message: RawSpan) {
        var digest = InlineArray<20, UInt8>(repeating: 0)
        guard hash(message, EVP_sha1(), into: &digest) else { return nil }
        bytes = digest
    }
}

/// Whether OpenSSL made a digest that fills `digest`. An algorithm with another length, which would write past its end, is not
/// run at all.
private func hash<let count: Int>(
    _ message: RawSpan, _ algorithm: OpaquePointer?, into digest: inout InlineArray<count, UInt8>
) -> Bool {
    guard let algorithm, EVP_MD_get_size(algorithm) == Int32(count) else { return false }
    var span = digest.mutableSpan
    return span.withUnsafeMutableBytes { room in
        message.withUnsafeBytes { from in
            EVP_Digest(from.baseAddress, from.count, room.baseAddress, nil, algorithm, nil) == 1
        }
    }
}

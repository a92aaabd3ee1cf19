import COpenSSL

/// The versions of TLS that are spoken; older ones never are (RFC 8996).
public enum TLSVersion: UInt8, Sendable, CaseIterable {
    case v1_2
    case v1_3

    var number: Int32 {
        switch self {
        case .v1_2: TLS1_2_VERSION
        case .v1_3: TLS1_3_VERSION
        }
    }

    /// As logs write it.
    public var text: StaticString {
        switch self {
        case .v1_2: "TLSv1.2"
        case .v1_3: "TLSv1.3"
        }
    }
}

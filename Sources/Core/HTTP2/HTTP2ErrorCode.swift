/// An error code of HTTP/2 (RFC 9113 §7). Codes that nobody has defined are passed on as they are.
public struct HTTP2ErrorCode: RawRepresentable, Hashable, Sendable {
    public var rawValue: UInt32

    @inlinable
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static var noError: Self { Self(rawValue: 0x0) }
    public static var protocolError: Self { Self(rawValue: 0x1) }
    public static var internalError: Self { Self(rawValue: 0x2) }
    public static var flowControlError: Self { Self(rawValue: 0x3) }
    public static var settingsTimeout: Self { Self(rawValue: 0x4) }
    public static var streamClosed: Self { Self(rawValue: 0x5) }
    public static var frameSizeError: Self { Self(rawValue: 0x6) }
    public static var refusedStream: Self { Self(rawValue: 0x7) }
    public static var cancel: Self { Self(rawValue: 0x8) }
    public static var compressionError: Self { Self(rawValue: 0x9) }
    public static var connectError: Self { Self(rawValue: 0xa) }
    public static var enhanceYourCalm: Self { Self(rawValue: 0xb) }
    public static var inadequateSecurity: Self { Self(rawValue: 0xc) }
    public static var http11Required: Self { Self(rawValue: 0xd) }

    /// The name for logs and metrics; one for all unknown codes, so that a peer cannot invent labels.
    public var name: StaticString {
        switch rawValue {
        case 0x0: "no_error"
        case 0x1: "protocol_error"
        case 0x2: "internal_error"
        case 0x3: "flow_control_error"
        case 0x4: "settings_timeout"
        case 0x5: "stream_closed"
        case 0x6: "frame_size_error"
        case 0x7: "refused_stream"
        case 0x8: "cancel"
        case 0x9: "compression_error"
        case 0xa: "connect_error"
        case 0xb: "enhance_your_calm"
        case 0xc: "inadequate_security"
        case 0xd: "http_1_1_required"
        default: "unknown"
        }
    }
}

import Primitives

/// Why a WebSocket ends, of the codes that the gateway itself may have to say (RFC 6455 §7.4.1 and the registry of §11.7).
public enum CloseCode: UInt16, Sendable, CaseIterable {
    case normal = 1000
    /// The gateway goes away.
    case goingAway = 1001
    case protocolError = 1002
    case policyViolation = 1008
    case messageTooBig = 1009
    case internalError = 1011
    /// A new one takes over: come back at once.
    case serviceRestart = 1012
    /// Too much to do: come back later.
    case tryAgainLater = 1013
    /// The token by which the socket was opened is no longer valid; of the range for applications, after 401.
    case tokenExpired = 4401
}

/// Writes the frame that ends a WebSocket (RFC 6455 §5.5.1). It may stand between any two frames, also within a message.
public enum CloseFrame {
    /// With a mask and the longest reason.
    public static var bytesMax: Int { 131 }

    /// - Parameters:
    ///   - reason: for whoever looks for the fault; up to 123 bytes of it are sent.
    ///   - maskKey: four random bytes for a frame to a backend; nil for a frame to a client, which must not be masked (§5.1).
    public static func append(
        _ code: CloseCode, reason: StaticString = "", maskKey: UInt32? = nil, to out: inout ByteBuffer
    ) {
        let text = reason.utf8Start
        var count = reason.utf8CodeUnitCount
        if count > 123 {
            count = 123
            // Not in the middle of a character.
            while count > 0, text[count] & 0xc0 == 0x80 { count -= 1 }
        }
        out.append(0x88)
        out.append(UInt8(2 + count) | (maskKey == nil ? 0 : 0x80))
        let key = maskKey ?? 0
        if maskKey != nil {
            for k in 0..<4 { out.append(byte(k, of: key)) }
        }
        for i in 0..<(2 + count) {
            let plain =
                switch i {
                case 0: UInt8(code.rawValue >> 8)
                case 1: UInt8(truncatingIfNeeded: code.rawValue)
                default: text[i - 2]
                }
            out.append(plain ^ byte(i % 4, of: key))
        }
    }

    private static func byte(_ index: Int, of key: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: key >> UInt32(24 - 8 * index)) }
}

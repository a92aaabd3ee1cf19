/// A breach of RFC 6455 by which it is not known any more where the next frame begins, or that the other side must not be left
/// to find out.
public enum FrameFault: Equatable, Sendable, CaseIterable {
    /// A frame of a client without a mask (§5.1).
    case unmasked
    /// A frame of a server with a mask (§5.1).
    case masked
    /// RSV1 to RSV3 where no extension gives them a meaning (§5.2).
    case reservedBits
    /// An opcode from 3 to 7 or from 11 to 15 (§5.2).
    case reservedOpcode
    /// A control frame with more than 125 bytes (§5.5).
    case longControlFrame
    /// A control frame without FIN (§5.5).
    case fragmentedControlFrame
    /// A length of 64 bits with the highest one set (§5.2).
    case invalidLength
    /// A length in more bytes than it needs (§5.2).
    case lengthNotMinimal
    /// A continuation without a message to continue (§5.4).
    case nothingToContinue
    /// A message within a message (§5.4).
    case messageNotFinished
    /// A Close frame with one byte: half a code (§5.5.1).
    case closeWithoutCode
}

import Primitives

/// A frame's header, of which at least the first byte has come (RFC 6455 §5.2): 2 to 14 bytes.
@usableFromInline
struct FrameHeader: Sendable {
    let first: UInt8
    private var second: UInt8 = 0
    /// Bytes that have come.
    private(set) var count = 1
    /// Of the payload; until the header is whole, of what has come of it.
    private(set) var length: UInt64 = 0
    /// 0 for a frame without one.
    private(set) var mask: UInt32 = 0

    init(_ first: UInt8) { self.first = first }

    /// The header that begins at `start`; nil when the chunk has not all of it.
    init?(_ chunk: RawSpan, from start: Int) {
        let available = chunk.byteCount - start
        guard available >= 2 else { return nil }
        first = chunk[start]
        second = chunk[start + 1]
        let maskStart = lengthEnd
        count = maskStart + (second & 0x80 != 0 ? 4 : 0)
        guard count <= available else { return nil }
        switch maskStart {
        case 4: length = UInt64(UInt16(bigEndian: chunk.unsafeLoadUnaligned(fromByteOffset: start + 2, as: UInt16.self)))
        case 10: length = UInt64(bigEndian: chunk.unsafeLoadUnaligned(fromByteOffset: start + 2, as: UInt64.self))
        default: length = UInt64(second & 0x7f)
        }
        if second & 0x80 != 0 {
            mask = UInt32(bigEndian: chunk.unsafeLoadUnaligned(fromByteOffset: start + maskStart, as: UInt32.self))
        }
    }

    var isClose: Bool { first & 0x0f == 8 }

    var isWhole: Bool { count >= 2 && count == lengthEnd + (second & 0x80 != 0 ? 4 : 0) }

    /// Bytes up to the end of the length.
    private var lengthEnd: Int {
        switch second & 0x7f {
        case 126: 4
        case 127: 10
        default: 2
        }
    }

    /// Must not be called when it is whole.
    mutating func append(_ byte: UInt8) {
        count += 1
        if count == 2 {
            second = byte
            if byte & 0x7f < 126 { length = UInt64(byte & 0x7f) }
        } else if count <= lengthEnd {
            length = length << 8 | UInt64(byte)
        } else {
            mask = mask << 8 | UInt32(byte)
        }
    }

    /// What is wrong with a whole header.
    func fault(maskBit: UInt8) -> FrameFault? { secondFault(maskBit) ?? lengthFault }

    /// What the last byte that has come has made wrong.
    func newFault(maskBit: UInt8) -> FrameFault? {
        if count == 2 { return secondFault(maskBit) }
        return count == lengthEnd ? lengthFault : nil
    }

    private func secondFault(_ maskBit: UInt8) -> FrameFault? {
        if second & 0x80 != maskBit { return maskBit == 0 ? .masked : .unmasked }
        let isControl = first & 0x08 != 0
        if isControl, second & 0x7f > 125 { return .longControlFrame }
        return isClose && second & 0x7f == 1 ? .closeWithoutCode : nil
    }

    private var lengthFault: FrameFault? {
        switch second & 0x7f {
        case 126: length < 126 ? .lengthNotMinimal : nil
        case 127: length > UInt64(Int64.max) ? .invalidLength : length < 65_536 ? .lengthNotMinimal : nil
        default: nil
        }
    }
}

/// The payload of a Close frame, of which two bytes are the code.
@usableFromInline
struct ClosePayload: Sendable {
    private var bytesLeft: UInt64
    private let mask: UInt32
    private var taken: UInt32 = 0
    private(set) var code: UInt16 = 0

    /// - Parameter bytesLeft: 2 to 125.
    init(bytesLeft: UInt64, mask: UInt32) {
        self.bytesLeft = bytesLeft
        self.mask = mask
    }

    var isWhole: Bool { bytesLeft == 0 }

    /// Must not be called when it is whole.
    mutating func append(_ byte: UInt8) {
        bytesLeft -= 1
        if taken < 2 {
            code = code << 8 | UInt16(byte ^ UInt8(truncatingIfNeeded: mask >> (24 - 8 * taken)))
            taken += 1
        }
    }
}

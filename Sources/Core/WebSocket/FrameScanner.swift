import Primitives

/// Follows the frames in one direction of a WebSocket as its bytes pass by, and changes none of them (RFC 6455 §5.2).
///
/// The gateway must know where frames end, so that its own Close frame does not land inside one, and it counts messages. Payloads
/// are passed over; nothing is kept but the place in the frame. A chunk that is one whole short message, as most are, costs a
/// few comparisons.
public struct FrameScanner: Sendable {
    public enum Sender: Sendable {
        /// Masks its frames.
        case client
        case server
    }

    /// What a chunk has brought that somebody must act on.
    public enum News: Equatable, Sendable {
        case nothing
        /// The direction's first Close frame; 1005 where it holds no code (§7.1.5).
        case close(code: UInt16)
        /// The bytes cannot be followed any further; the same for every later chunk.
        case fault(FrameFault)
    }

    @usableFromInline
    enum Place: Sendable {
        /// Before the first byte of a frame.
        case boundary
        /// Behind the first byte of a frame, before its payload.
        case header(FrameHeader)
        /// In the payload of a frame with this first byte.
        case payload(first: UInt8, bytesLeft: UInt64)
        case closePayload(ClosePayload)
        case broken(FrameFault)
    }

    @usableFromInline var place = Place.boundary
    /// Behind a frame of data without FIN.
    @usableFromInline var isMessageOpen = false
    /// The top bit of a frame's second byte, as this sender must set it.
    @usableFromInline let maskBit: UInt8
    /// RSV1 to RSV3, unless an extension uses them.
    @usableFromInline let forbiddenBits: UInt8
    @usableFromInline var wholeFrames: UInt64 = 0
    @usableFromInline var wholeMessages: UInt64 = 0
    /// Of the first Close frame; 1005 where it held none; nil until there is one.
    public private(set) var closeCode: UInt16?

    /// - Parameter hasExtensions: the backend's answer chose some; the reserved bits are then theirs.
    public init(sender: Sender, hasExtensions: Bool) {
        switch sender {
        case .client: maskBit = 0x80
        case .server: maskBit = 0
        }
        forbiddenBits = hasExtensions ? 0 : 0x70
    }

    /// Frames that are whole, those of control as well.
    public var frames: UInt64 { wholeFrames }

    /// Messages of data that are whole.
    public var messages: UInt64 { wholeMessages }

    /// Whether a frame of the gateway's own may be put behind the bytes so far.
    public var isAtFrameBoundary: Bool {
        switch place {
        case .boundary: true
        case .header, .payload, .closePayload, .broken: false
        }
    }

    /// Whether all messages that have begun are whole.
    public var isAtMessageBoundary: Bool { isAtFrameBoundary && !isMessageOpen }

    public var fault: FrameFault? {
        switch place {
        case .broken(let fault): fault
        case .boundary, .header, .payload, .closePayload: nil
        }
    }

    /// The next bytes of this direction, cut anywhere.
    @inlinable
    public mutating func feed(_ chunk: RawSpan) -> News {
        if case .boundary = place {
            let size = shortMessageBytes(chunk, from: 0)
            if size == chunk.byteCount, size > 0 {
                countMessage()
                return .nothing
            }
        }
        return follow(chunk)
    }

    /// The bytes of a whole message with a payload below 126 bytes that begins at `start`; 0 when something else does.
    @inlinable
    @inline(__always)
    func shortMessageBytes(_ chunk: RawSpan, from start: Int) -> Int {
        let available = chunk.byteCount - start
        guard available >= 2, !isMessageOpen else { return 0 }
        let first = chunk.unsafeLoad(fromUncheckedByteOffset: start, as: UInt8.self)
        let second = chunk.unsafeLoad(fromUncheckedByteOffset: start &+ 1, as: UInt8.self)
        // FIN, and text or binary.
        guard first & 0x8f == 0x81 || first & 0x8f == 0x82, first & forbiddenBits == 0 else { return 0 }
        guard second & 0x80 == maskBit, second & 0x7f < 126 else { return 0 }
        // 2 bytes, and 4 of the mask.
        let size = 2 &+ Int(maskBit &>> 5) &+ Int(second & 0x7f)
        return size <= available ? size : 0
    }

    @inlinable
    @inline(__always)
    mutating func countMessage() {
        wholeFrames &+= 1
        wholeMessages &+= 1
    }

    @usableFromInline
    @inline(never)
    mutating func follow(_ chunk: RawSpan) -> News {
        let hadClose = closeCode != nil
        var i = 0
        while i < chunk.byteCount {
            switch place {
            case .boundary:
                let size = shortMessageBytes(chunk, from: i)
                if size > 0 {
                    countMessage()
                    i += size
                } else {
                    i = begin(chunk, from: i)
                }
            case .header(var header):
                while i < chunk.byteCount, !header.isWhole {
                    header.append(chunk[i])
                    i += 1
                    if let fault = header.newFault(maskBit: maskBit) {
                        place = .broken(fault)
                        return .fault(fault)
                    }
                }
                place = .header(header)
                if header.isWhole { headerEnded(header) }
            case .payload(let first, let bytesLeft):
                let taken = min(bytesLeft, UInt64(chunk.byteCount - i))
                i += Int(taken)
                if taken == bytesLeft {
                    frameEnded(first)
                } else {
                    place = .payload(first: first, bytesLeft: bytesLeft - taken)
                }
            case .closePayload(var payload):
                payload.append(chunk[i])
                i += 1
                place = .closePayload(payload)
                if payload.isWhole { closeEnded(payload.code) }
            case .broken(let fault): return .fault(fault)
            }
        }
        if let fault { return .fault(fault) }
        guard !hadClose, let closeCode else { return .nothing }
        return .close(code: closeCode)
    }

    /// Takes the first byte of a frame, or the whole header where all of it is there. Returns the offset behind it.
    private mutating func begin(_ chunk: RawSpan, from start: Int) -> Int {
        let first = chunk[start]
        if let fault = fault(first: first) {
            place = .broken(fault)
            return start + 1
        }
        guard let header = FrameHeader(chunk, from: start) else {
            place = .header(FrameHeader(first))
            return start + 1
        }
        if let fault = header.fault(maskBit: maskBit) {
            place = .broken(fault)
        } else {
            headerEnded(header)
        }
        return start + header.count
    }

    private func fault(first: UInt8) -> FrameFault? {
        if first & forbiddenBits != 0 { return .reservedBits }
        switch first & 0x0f {
        case 0: return isMessageOpen ? nil : .nothingToContinue
        case 1, 2: return isMessageOpen ? .messageNotFinished : nil
        case 8, 9, 10: return first & 0x80 != 0 ? nil : .fragmentedControlFrame
        default: return .reservedOpcode
        }
    }

    private mutating func headerEnded(_ header: FrameHeader) {
        if header.length == 0 {
            if header.isClose { closeEnded(1005) } else { frameEnded(header.first) }
        } else if header.isClose {
            place = .closePayload(ClosePayload(bytesLeft: header.length, mask: header.mask))
        } else {
            place = .payload(first: header.first, bytesLeft: header.length)
        }
    }

    private mutating func closeEnded(_ code: UInt16) {
        if closeCode == nil { closeCode = code }
        frameEnded(0x88)
    }

    private mutating func frameEnded(_ first: UInt8) {
        place = .boundary
        wholeFrames &+= 1
        if first & 0x08 != 0 { return }
        isMessageOpen = first & 0x80 == 0
        if !isMessageOpen { wholeMessages &+= 1 }
    }
}

import Primitives

/// What a session keeps of one stream, from the first byte of its head until its owner has released it. Places in a slab are used
/// again; a stream's number is not, and tells whether a `HTTP2StreamID` still means this record.
struct StreamRecord {
    struct Flags: OptionSet {
        let rawValue: UInt16
        /// A head was announced: the owner knows of the stream.
        static var isAnnounced: Flags { Flags(rawValue: 1 << 0) }
        /// The peer has ended its side.
        static var remoteEnded: Flags { Flags(rawValue: 1 << 1) }
        /// The owner has ended ours; bytes may still be waiting.
        static var localEnded: Flags { Flags(rawValue: 1 << 2) }
        /// Our head was handed to nghttp2, and body bytes may follow.
        static var takesBody: Flags { Flags(rawValue: 1 << 3) }
        /// nghttp2 has asked for body bytes and got none; it asks again when told to.
        static var isDeferred: Flags { Flags(rawValue: 1 << 4) }
        /// It has bytes, and waits for the other streams to have had their frame.
        static var isWaiting: Flags { Flags(rawValue: 1 << 5) }
        /// A client's: the final head has come, and what follows are trailers.
        static var hasFinalHead: Flags { Flags(rawValue: 1 << 6) }
        /// `.reset` was announced.
        static var resetReported: Flags { Flags(rawValue: 1 << 7) }
        /// The owner has reset it.
        static var resetByOwner: Flags { Flags(rawValue: 1 << 8) }
        /// nghttp2 has closed it.
        static var isClosed: Flags { Flags(rawValue: 1 << 9) }
        /// The owner wants to hear nothing more of it.
        static var isReleased: Flags { Flags(rawValue: 1 << 10) }
        /// It counts among the streams that are allowed at one time.
        static var holdsSlot: Flags { Flags(rawValue: 1 << 11) }
        /// More than the low-water mark was left unsent, and the owner waits to hear that it is no more.
        static var isFull: Flags { Flags(rawValue: 1 << 12) }
        static var isDrained: Flags { Flags(rawValue: 1 << 13) }
        /// There are trailers to send.
        static var hasTrailers: Flags { Flags(rawValue: 1 << 14) }
        /// WebSocket over HTTP/2.
        static var isExtendedConnect: Flags { Flags(rawValue: 1 << 15) }
    }

    /// The stream's number; 0 in a free place.
    var number: Int32 = 0
    var flags: Flags = []
    /// The peer has reset it, and not we because of what it sent.
    var wasResetByPeer = false
    /// Interim heads received so far.
    var interimCount: UInt16 = 0
    /// The next free place, while this one is free.
    var nextFree: UInt32 = 0
    /// The round of `write` in which it last had a frame.
    var round: UInt32 = 0
    /// What the owner knows the stream by.
    var token: UInt64 = 0
    /// Heads as text: the one announced last, and those not announced yet.
    var head = Block()
    /// Which part of `head` was announced last.
    var headOffset: UInt32 = 0
    var headCount: UInt32 = 0
    var trailers = Block()
    /// Body bytes to send.
    var body = Block()
    /// Trailers to send, as text.
    var trailersToSend = Block()
    /// Body bytes that the owner lends for the length of one call; they come behind those of `body`.
    var lent = UnsafeRawBufferPointer.empty
    /// Received body bytes that the owner has not consumed.
    var unconsumed = 0
    /// Those that it has consumed while the window was that of the beginning; `Int.max` once it is larger.
    var consumedAtFirst = 0
    /// Of a stream that was released before its last frame was written: when its time began, and the body bytes sent since.
    var releasedAt = Instant.never
    var sentSince = 0

    /// Bytes that are not in frames yet.
    @inline(__always)
    var pending: Int { body.count &+ lent.count }
}

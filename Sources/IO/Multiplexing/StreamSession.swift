import HTTP2
import Primitives

/// A connection that carries many requests at once: its HTTP/2 session, the requests on it, and the frames that wait to be sent.
///
/// Lives in memory of its own that does not move (`StreamSessionPointer`); whoever made it frees it with `free`.
public struct StreamSession: ~Copyable {
    public var http2: HTTP2Session
    /// The exchanges whose streams it carries, by their place in the worker's slab.
    public private(set) var slots: [Int32] = []
    /// Requests that wait for the peer's SETTINGS, by their tokens.
    public var waiters: [UInt64] = []
    /// The peer's SETTINGS have come.
    public var hasSettings = false
    /// Frames for the end of the turn; empty in between, so that an idle connection owns no memory for them.
    public var frames = ByteBuffer(capacity: 0)
    /// It stands in the list of connections that have something to send.
    public var isDirty = false
    /// A stream waits until the others have less to send.
    public var holdsBack = false
    /// No new streams to this backend's connection.
    public var isDraining = false
    /// The backend takes nothing more. What it said before is still read, and whole answers may still wait for their clients.
    public var takesNothing = false
    /// Its last frames are being written, and then it closes.
    public var isEnding = false
    /// Since when no request is on it; `.never` while there is one.
    public var idleSince = Instant.never

    /// When bytes of the peer came last.
    public var lastReceived: Instant

    public init(_ http2: consuming HTTP2Session, at now: Instant) {
        self.http2 = http2
        lastReceived = now
    }

    /// - Returns: the place, to be told when the exchange leaves.
    public mutating func add(slot: Int) -> Int32 {
        slots.append(Int32(slot))
        idleSince = .never
        return Int32(slots.count - 1)
    }

    /// - Returns: the slot that has taken the place, if one had to move.
    public mutating func remove(at place: Int32) -> Int32? {
        let last = slots.removeLast()
        guard Int(place) < slots.count else { return nil }
        slots[Int(place)] = last
        return last
    }
}

public typealias StreamSessionPointer = UnsafeMutablePointer<StreamSession>

extension UnsafeMutablePointer<StreamSession> {
    public static func make(_ http2: consuming HTTP2Session, at now: Instant) -> StreamSessionPointer {
        let pointer = StreamSessionPointer.allocate(capacity: 1)
        pointer.initialize(to: StreamSession(http2, at: now))
        return pointer
    }

    public func free() {
        deinitialize(count: 1)
        deallocate()
    }
}

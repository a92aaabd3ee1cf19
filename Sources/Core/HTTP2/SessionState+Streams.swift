import CNghttp2
import Primitives

/// The records of the streams and the list of events.
extension SessionState {
    // MARK: records

    /// Where the record of a live id stands.
    @inline(__always)
    func slot(_ stream: HTTP2StreamID) -> Int? {
        let slot = Int(stream.slot)
        guard slot < recordsUsed, records[slot].number == stream.number, stream.number != 0 else { return nil }
        return slot
    }

    @inline(__always)
    func id(_ slot: Int) -> HTTP2StreamID { HTTP2StreamID(number: records[slot].number, slot: UInt32(truncatingIfNeeded: slot)) }

    /// The record that nghttp2 knows the stream by.
    @inline(__always)
    func slot(number: Int32) -> Int? {
        guard let data = nghttp2_session_get_stream_user_data(session, number) else { return nil }
        return Int(bitPattern: data) - 1
    }

    /// What nghttp2 is given to know a record by; never nil.
    @inline(__always)
    static func userData(_ slot: Int) -> UnsafeMutableRawPointer? { UnsafeMutableRawPointer(bitPattern: slot + 1) }

    /// A record for a new stream, which holds one of the places that are allowed at one time.
    mutating func makeRecord(_ number: Int32) -> Int {
        let slot: Int
        if firstFree != .max {
            slot = Int(firstFree)
            firstFree = records[slot].nextFree
        } else {
            if (recordsUsed + 1) * MemoryLayout<StreamRecord>.stride > recordMemory.capacity { growRecords() }
            slot = recordsUsed
            recordsUsed += 1
        }
        (records + slot).initialize(to: StreamRecord())
        records[slot].number = number
        records[slot].flags = .holdsSlot
        activeStreams += 1
        if !isServer { earned.streamOpened() }
        liveRecords += 1
        return slot
    }

    /// Twice as many places as before.
    private mutating func growRecords() {
        let pool = pool  // A copy: the thread sanitizer's build takes its use for an access to all of `self`.
        let larger = pool.pointee.take(max(recordMemory.capacity * 2, 1))
        guard let base = larger.base else { preconditionFailure("a block that was just taken has memory") }
        let moved = base.bindMemory(to: StreamRecord.self, capacity: larger.capacity / MemoryLayout<StreamRecord>.stride)
        moved.moveInitialize(from: records, count: recordsUsed)
        pool.pointee.give(&recordMemory)
        recordMemory = larger
        records = moved
    }

    /// The owner has gone, and the stream has not: its last frames are not written, or the peer has not ended its side.
    mutating func leaveOpen(_ slot: Int) {
        records[slot].flags.insert(.isReleased)
        records[slot].releasedAt = now
        records[slot].sentSince = 0
        openWithoutOwner += 1
        stallDeadline = min(stallDeadline, now + policy.writeTimeout)
        // Frames go out in order: the backend knows of this reset before it sees another request.
        if !isServer, records[slot].flags.contains(.resetByOwner) { freePlace(slot) }
        if isServer, !records[slot].flags.contains(.remoteEnded),
            nghttp2_session_get_stream_local_close(session, records[slot].number) == 1
        {
            stopRequest(slot)
        }
    }

    /// Whoever reads may have more on its way than whoever has not read yet. What was consumed may still wait to be read: the last piece,
    /// of a whole window at most, and what it was added to.
    mutating func enlargeWindow(_ slot: Int, _ consumed: Int) {
        records[slot].consumedAtFirst += consumed
        let unread = policy.initialWindowBytes + policy.sendLowWaterBytes
        guard records[slot].consumedAtFirst >= unread + policy.initialWindowBytes / 2 else { return }
        records[slot].consumedAtFirst = .max
        guard policy.initialWindowBytes < policy.streamWindowBytes else { return }
        let window = Int32(clamping: min(policy.streamWindowBytes, Int(cnghttp2_window_max())))
        _ = nghttp2_session_set_local_window_size(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), records[slot].number, window)
    }

    /// The response is complete, and nobody reads the rest of the request.
    mutating func stopRequest(_ slot: Int) {
        guard records[slot].flags.isDisjoint(with: [.remoteEnded, .resetByOwner, .isClosed]) else { return }
        records[slot].flags.insert(.resetByOwner)
        _ = nghttp2_submit_rst_stream(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), records[slot].number, HTTP2ErrorCode.noError.rawValue)
    }

    /// Resets the streams without an owner whose peer has hardly taken anything for the whole of their time; the others get as much
    /// again. Sets the deadline anew.
    mutating func resetStalled() {
        stallDeadline = .never
        for slot in 0..<recordsUsed where records[slot].flags.isDisjoint(with: [.isClosed, .resetByOwner]) {
            guard records[slot].flags.contains(.isReleased) else { continue }
            if records[slot].releasedAt + policy.writeTimeout <= now {
                guard records[slot].sentSince >= Self.progressBytes else {
                    if isServer { streamFaults.stalled += 1 }
                    records[slot].flags.insert(.resetByOwner)
                    dropSending(slot)
                    _ = nghttp2_submit_rst_stream(
                        session, UInt8(NGHTTP2_FLAG_NONE.rawValue), records[slot].number, HTTP2ErrorCode.cancel.rawValue)
                    continue
                }
                records[slot].releasedAt = now
                records[slot].sentSince = 0
            }
            stallDeadline = min(stallDeadline, records[slot].releasedAt + policy.writeTimeout)
        }
    }

    /// Less than this in `writeTimeout` is a window opened byte by byte.
    private static var progressBytes: Int { 4096 }

    /// Gives all that a record holds back, and its place.
    mutating func freeRecord(_ slot: Int) {
        if records[slot].flags.contains(.isReleased) {
            openWithoutOwner -= 1
            if openWithoutOwner == 0 { stallDeadline = .never }
        }
        dropSending(slot)
        if records[slot].flags.contains(.isDrained) { drainedStreams -= 1 }
        pool.pointee.give(&records[slot].head)
        pool.pointee.give(&records[slot].trailers)
        freePlace(slot)
        records[slot].number = 0
        records[slot].flags = []
        records[slot].nextFree = firstFree
        firstFree = UInt32(truncatingIfNeeded: slot)
        liveRecords -= 1
        // An idle session keeps no places.
        if liveRecords == 0 {
            recordsUsed = 0
            firstFree = .max
            let pool = pool
            pool.pointee.give(&recordMemory)
        }
    }

    /// The stream no longer counts among those that are allowed at one time.
    mutating func freePlace(_ slot: Int) {
        guard records[slot].flags.contains(.holdsSlot) else { return }
        records[slot].flags.remove(.holdsSlot)
        activeStreams -= 1
    }

    /// Drops what is not in frames yet.
    mutating func dropSending(_ slot: Int) {
        let pending = records[slot].pending
        if pending > 0 {
            pendingTotal -= pending
            pendingStreams -= 1
        }
        if records[slot].flags.contains(.isWaiting) {
            records[slot].flags.remove(.isWaiting)
            waitingStreams -= 1
        }
        records[slot].lent = .empty
        pool.pointee.give(&records[slot].body)
        pool.pointee.give(&records[slot].trailersToSend)
    }

    // MARK: events

    /// An event of a stream.
    mutating func append(
        _ kind: StoredEvent.Kind, slot: Int, limit: HeadLimit = .none, value: UInt32 = 0, count: UInt32 = 0,
        bytes: UnsafeRawPointer? = nil
    ) {
        append(
            StoredEvent(
                kind: kind, limit: limit, slot: UInt32(truncatingIfNeeded: slot), number: records[slot].number, value: value,
                count: count, bytes: bytes))
    }

    /// An event of the connection.
    mutating func append(_ kind: StoredEvent.Kind, lastStream: Int32 = 0, value: UInt32 = 0) {
        append(StoredEvent(kind: kind, limit: .none, slot: 0, number: lastStream, value: value, count: 0, bytes: nil))
    }

    private mutating func append(_ event: StoredEvent) {
        let to = events.reserve(MemoryLayout<StoredEvent>.stride, pool)
        UnsafeMutableRawPointer(to).storeBytes(of: event, as: StoredEvent.self)
        events.wrote(MemoryLayout<StoredEvent>.stride)
    }

    mutating func popEvent() -> HTTP2Event? {
        while nextEvent < events.count {
            guard let base = events.bytes.baseAddress else { break }
            let event = base.load(fromByteOffset: nextEvent, as: StoredEvent.self)
            nextEvent += MemoryLayout<StoredEvent>.stride
            if let result = read(event) { return result }
        }
        if nextEvent > 0 {
            nextEvent = 0
            let pool = pool
            pool.pointee.give(&events)
        }
        return nil
    }

    /// The event for the owner; nil when its stream has been released since.
    private mutating func read(_ event: StoredEvent) -> HTTP2Event? {
        switch event.kind {
        case .goAway: return .goAway(lastStream: event.number, HTTP2ErrorCode(rawValue: event.value))
        case .settings: return .settings
        case .ping: return .pingAcknowledged
        case .head, .lastHead, .refusedHead, .data, .trailers, .end, .reset, .resetSafely, .closed: break
        }
        let slot = Int(event.slot)
        let stream = HTTP2StreamID(number: event.number, slot: event.slot)
        guard slot < recordsUsed, records[slot].number == event.number, !records[slot].flags.contains(.isReleased) else {
            return nil
        }
        switch event.kind {
        case .head, .lastHead:
            records[slot].headOffset = event.value
            records[slot].headCount = event.count
            return .head(stream, endsStream: event.kind == .lastHead)
        case .refusedHead:
            records[slot].headOffset = event.value
            records[slot].headCount = event.count
            return .refusedHead(stream, event.limit.fault)
        case .data:
            // Bytes of a stream that its owner has reset are no longer wanted; `reset` has given them back.
            guard !records[slot].flags.contains(.resetByOwner) else { return nil }
            return .data(stream, UnsafeRawBufferPointer(start: event.bytes, count: Int(event.value)))
        case .trailers: return .trailers(stream)
        case .end: return .end(stream)
        case .reset, .resetSafely:
            return .reset(stream, HTTP2ErrorCode(rawValue: event.value), isSafeToRetry: event.kind == .resetSafely)
        case .closed: return .closed(stream)
        case .goAway, .settings, .ping: return nil
        }
    }
}

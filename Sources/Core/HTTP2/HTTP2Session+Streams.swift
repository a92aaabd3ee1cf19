import CNghttp2
import HTTPMessages
import Primitives

/// What the owner does with single streams.
extension HTTP2Session {
    private static var noFlags: UInt8 { UInt8(NGHTTP2_FLAG_NONE.rawValue) }

    // MARK: knowing a stream again

    /// Has `token` return this for the stream.
    public mutating func setToken(_ stream: HTTP2StreamID, _ token: UInt64) {
        guard let slot = state.pointee.slot(stream) else { return }
        state.pointee.records[slot].token = token
    }

    /// What `setToken` was given, 0 before; nil when the stream is gone.
    public func token(_ stream: HTTP2StreamID) -> UInt64? {
        guard let slot = state.pointee.slot(stream) else { return nil }
        return state.pointee.records[slot].token
    }

    // MARK: what was received

    /// The head of the `.head` event that was returned last for this stream; good until `takeHead`, `released`, or the next event
    /// of the stream.
    public func headText(_ stream: HTTP2StreamID) -> UnsafeRawBufferPointer {
        guard let slot = state.pointee.slot(stream) else { return .empty }
        let record = state.pointee.records + slot
        let start = Int(record.pointee.headOffset)
        let end = start + Int(record.pointee.headCount)
        guard end <= record.pointee.head.count else { return .empty }
        return UnsafeRawBufferPointer(rebasing: record.pointee.head.bytes[start..<end])
    }

    /// The head has been read: its memory goes back, unless another one of the stream is in it.
    public mutating func takeHead(_ stream: HTTP2StreamID) {
        guard let slot = state.pointee.slot(stream) else { return }
        let record = state.pointee.records + slot
        let end = Int(record.pointee.headOffset) + Int(record.pointee.headCount)
        record.pointee.headCount = 0
        if end >= record.pointee.head.count {
            record.pointee.headOffset = 0
            state.pointee.pool.pointee.give(&record.pointee.head)
        }
    }

    /// The trailer section, lines and an empty line; good until `released`.
    public func trailerText(_ stream: HTTP2StreamID) -> UnsafeRawBufferPointer {
        guard let slot = state.pointee.slot(stream) else { return .empty }
        return state.pointee.records[slot].trailers.bytes
    }

    /// Whether the request is a WebSocket handshake by extended CONNECT (RFC 8441). Its text says so in the words of HTTP/1.1,
    /// and a response head with 101 is sent as the 200 that it means here.
    public func isExtendedConnect(_ stream: HTTP2StreamID) -> Bool {
        guard let slot = state.pointee.slot(stream) else { return false }
        return state.pointee.records[slot].flags.contains(.isExtendedConnect)
    }

    /// Whether a stream that was reset was so by its peer; otherwise what came on it was malformed (RFC 9113 §8.1.1).
    public func wasResetByPeer(_ stream: HTTP2StreamID) -> Bool {
        guard let slot = state.pointee.slot(stream) else { return false }
        return state.pointee.records[slot].wasResetByPeer
    }

    /// Received body bytes have gone on their way, and the peer may send as many again.
    public mutating func consume(_ stream: HTTP2StreamID, _ count: Int) {
        guard let slot = state.pointee.slot(stream) else { return }
        let record = state.pointee.records + slot
        let given = min(max(count, 0), record.pointee.unconsumed)
        guard given > 0 else { return }
        record.pointee.unconsumed -= given
        if record.pointee.flags.isDisjoint(with: [.isClosed, .remoteEnded]) {
            _ = nghttp2_session_consume(state.pointee.session, stream.number, given)
            if record.pointee.consumedAtFirst != .max { state.pointee.enlargeWindow(slot, given) }
        } else {
            // The stream's own window is of no use to anybody any more.
            _ = nghttp2_session_consume_connection(state.pointee.session, given)
        }
    }

    /// The owner is done with the stream and its work, and hears no more of it: what it left unread is given back.
    ///
    /// A stream that is not closed yet keeps its place, since it counts for the peer too (RFC 9113 §5.1.2), and has `writeTimeout` for
    /// the rest of what it has to say. A client that still sends its request by then is told that nobody wants it (RFC 9113 §8.1).
    public mutating func released(_ stream: HTTP2StreamID, at now: Instant) {
        guard let slot = state.pointee.slot(stream), !state.pointee.records[slot].flags.contains(.isReleased) else { return }
        state.pointee.now = now
        giveBack(slot)
        if state.pointee.records[slot].flags.contains(.isClosed) {
            state.pointee.freeRecord(slot)
        } else {
            state.pointee.leaveOpen(slot)
        }
    }

    private func giveBack(_ slot: Int) {
        let unread = state.pointee.records[slot].unconsumed
        state.pointee.records[slot].unconsumed = 0
        if unread > 0 { _ = nghttp2_session_consume_connection(state.pointee.session, unread) }
    }

    // MARK: heads

    /// The final head of a response, as the text of HTTP/1.1. With `endsStream` it has no body.
    /// - Returns: false when the stream is gone or has its head, or the text is none.
    @discardableResult
    public mutating func submitResponse(
        _ stream: HTTP2StreamID, _ head: UnsafeRawBufferPointer, endsStream: Bool
    ) -> Bool {
        guard let slot = sendable(stream), !state.pointee.records[slot].flags.contains(.takesBody) else { return false }
        var fields = OutgoingHead(state.pointee.pool)
        let isExtended = state.pointee.records[slot].flags.contains(.isExtendedConnect)
        guard fields.readResponse(head, isExtendedConnect: isExtended) else { return false }
        let result = withBodyProvider(slot, unless: endsStream) {
            nghttp2_submit_response(state.pointee.session, stream.number, fields.fields, fields.count, $0)
        }
        guard result == 0 else { return false }
        state.pointee.records[slot].flags.formUnion(endsStream ? [.takesBody, .localEnded] : .takesBody)
        return true
    }

    /// An interim head (100, 103), any number of them before the final one.
    @discardableResult
    public mutating func submitInterim(_ stream: HTTP2StreamID, _ head: UnsafeRawBufferPointer) -> Bool {
        guard let slot = sendable(stream), !state.pointee.records[slot].flags.contains(.takesBody) else { return false }
        var fields = OutgoingHead(state.pointee.pool)
        guard fields.readResponse(head, isExtendedConnect: false) else { return false }
        return nghttp2_submit_headers(
            state.pointee.session, HTTP2Session.noFlags, stream.number, nil, fields.fields, fields.count, nil) == 0
    }

    /// A request of a client.
    /// - Parameters:
    ///   - head: the text of HTTP/1.1; its Host becomes `:authority`.
    ///   - upgrade: the protocol of an extended CONNECT (RFC 8441), which the peer must allow. What the handshake says in the
    ///     words of HTTP/1.1 is left out then.
    /// - Returns: nil when no stream can be opened (`canOpenStream`), or the text is no head.
    public mutating func submitRequest(
        _ head: UnsafeRawBufferPointer, scheme: Scheme, endsStream: Bool, token: UInt64, upgrade: StaticString? = nil
    ) -> HTTP2StreamID? {
        guard state.pointee.canOpenStream else { return nil }
        var fields = OutgoingHead(state.pointee.pool)
        guard fields.readRequest(head, scheme: scheme, upgrade: upgrade) else { return nil }
        let slot = state.pointee.makeRecord(0)
        let number = withBodyProvider(slot, unless: endsStream) {
            nghttp2_submit_request(
                state.pointee.session, nil, fields.fields, fields.count, $0, SessionState.userData(slot))
        }
        guard number > 0 else {
            state.pointee.freeRecord(slot)
            return nil
        }
        state.pointee.records[slot].number = number
        state.pointee.records[slot].token = token
        state.pointee.records[slot].flags.formUnion(endsStream ? [.takesBody, .localEnded] : .takesBody)
        state.pointee.streamsServed += 1
        return state.pointee.id(slot)
    }

    // MARK: bodies

    /// Body bytes. They are copied, and put into frames by `write` as the windows allow.
    /// - Returns: false when the stream takes none (any more).
    @discardableResult
    public mutating func send(_ stream: HTTP2StreamID, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let slot = sendable(stream), !state.pointee.records[slot].flags.contains(.localEnded) else { return false }
        guard bytes.count > 0 else { return true }
        state.pointee.addPending(slot, bytes.count)
        state.pointee.records[slot].body.append(bytes, state.pointee.pool)
        state.pointee.markFull(slot)
        state.pointee.resume(slot)
        return true
    }

    /// Body bytes that are put into frames in `out` at once, as far as windows and `limit` allow, with all else that there is to
    /// write; only the rest is copied. What `write` would have returned is not known then.
    @discardableResult
    public mutating func send(
        _ stream: HTTP2StreamID, _ bytes: UnsafeRawBufferPointer, into out: inout ByteBuffer, limit: Int
    ) -> Bool {
        guard let slot = sendable(stream), !state.pointee.records[slot].flags.contains(.localEnded) else { return false }
        guard bytes.count > 0 else { return true }
        state.pointee.addPending(slot, bytes.count)
        state.pointee.records[slot].lent = bytes
        state.pointee.resume(slot)
        _ = write(into: &out, limit: limit)
        guard state.pointee.slot(stream) == slot else { return true }
        let rest = state.pointee.records[slot].lent
        state.pointee.records[slot].lent = .empty
        state.pointee.records[slot].body.append(rest, state.pointee.pool)
        state.pointee.markFull(slot)
        return true
    }

    /// The body is complete.
    /// - Parameter trailers: lines of fields and an empty line, or nil.
    @discardableResult
    public mutating func end(_ stream: HTTP2StreamID, trailers: UnsafeRawBufferPointer? = nil) -> Bool {
        guard let slot = sendable(stream), state.pointee.records[slot].flags.contains(.takesBody),
            !state.pointee.records[slot].flags.contains(.localEnded)
        else { return false }
        state.pointee.records[slot].flags.insert(.localEnded)
        if let trailers, trailers.count > 2 {
            state.pointee.records[slot].trailersToSend.append(trailers, state.pointee.pool)
            state.pointee.records[slot].flags.insert(.hasTrailers)
        }
        state.pointee.resume(slot)
        return true
    }

    /// Ends the stream with an error, or, a server's whose response is complete, tells a client with `.noError` that the rest of
    /// the request is not wanted. `.closed` follows when the frame is written.
    public mutating func reset(_ stream: HTTP2StreamID, _ code: HTTP2ErrorCode) {
        guard let slot = sendable(stream) else { return }
        state.pointee.records[slot].flags.insert(.resetByOwner)
        state.pointee.dropSending(slot)
        giveBack(slot)
        _ = nghttp2_submit_rst_stream(state.pointee.session, HTTP2Session.noFlags, stream.number, code.rawValue)
        state.pointee.settleFailure()
    }

    /// Body bytes of the stream that are not in frames yet.
    public func pending(_ stream: HTTP2StreamID) -> Int {
        guard let slot = state.pointee.slot(stream) else { return 0 }
        return state.pointee.records[slot].pending
    }

    /// Whether the stream has so little to send that it may be given more; `nextDrained` tells when it has again.
    public func takesMore(_ stream: HTTP2StreamID) -> Bool { pending(stream) <= state.pointee.policy.sendLowWaterBytes }

    /// A stream that was left with more than `sendLowWaterBytes` unsent and has no more than that now; each once.
    public mutating func nextDrained() -> HTTP2StreamID? {
        guard state.pointee.drainedStreams > 0 else { return nil }
        for slot in 0..<state.pointee.recordsUsed where state.pointee.records[slot].flags.contains(.isDrained) {
            state.pointee.records[slot].flags.remove(.isDrained)
            state.pointee.drainedStreams -= 1
            return state.pointee.id(slot)
        }
        return nil
    }

    /// The record of a stream that frames can still be sent on.
    private func sendable(_ stream: HTTP2StreamID) -> Int? {
        guard let slot = state.pointee.slot(stream),
            state.pointee.records[slot].flags.isDisjoint(with: [.isClosed, .resetByOwner, .isReleased])
        else { return nil }
        return slot
    }
}

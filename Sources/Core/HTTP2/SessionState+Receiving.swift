import CNghttp2
import Primitives

/// What nghttp2 tells of received frames. Each method is the body of one callback and returns what that returns.
extension SessionState {
    mutating func headersBegan(_ number: Int32, isRequest: Bool) -> Int32 {
        if isRequest {
            lastPeerStream = number
            guard activeStreams < policy.maxConcurrentStreams else { return refuseStream(number) }
            let slot = makeRecord(number)
            _ = nghttp2_session_set_stream_user_data(session, number, Self.userData(slot))
            assembly.begin(.request, slot: UInt32(truncatingIfNeeded: slot), pool)
            return 0
        }
        guard let slot = slot(number: number) else { return cnghttp2_give_up_stream() }
        let isTrailers = isServer || records[slot].flags.contains(.hasFinalHead)
        assembly.begin(isTrailers ? .trailers : .response, slot: UInt32(truncatingIfNeeded: slot), pool)
        return 0
    }

    /// All places are taken: those of cancelled streams too, until their work has been torn down.
    private mutating func refuseStream(_ number: Int32) -> Int32 {
        noteReset(number)
        _ = nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), number, HTTP2ErrorCode.refusedStream.rawValue)
        let verdict = controlGlitch()
        return verdict == 0 ? cnghttp2_give_up_stream() : verdict
    }

    @inline(__always)
    mutating func fieldReceived(_ number: Int32, _ name: OpaquePointer, _ value: OpaquePointer) -> Int32 {
        switch assembly.fieldReceived(name, value, &random, pool) {
        case .good: return 0
        case .malformed: return malformed(number)
        case .farOverLimit: return fail(.headerLists)
        case .overLimit:
            // A request's is judged when it is complete, so that it can be answered.
            return assembly.kind == .request ? 0 : overLimit(number)
        }
    }

    /// A block over the limits. Long lists of fields are the cheap way to make a server hold memory (CVE-2026-49975), so that the
    /// second ends the connection; a long field is one mistake.
    private mutating func chargeOverLimit() -> Int32 {
        switch assembly.limit {
        case .list, .count:
            headOffences += 1
            return headOffences > 1 ? fail(.headerLists) : controlGlitch(10)
        case .target, .field, .none: return controlGlitch()
        }
    }

    /// A message breaks a rule of HTTP: its stream is reset, and it never becomes an event.
    private mutating func malformed(_ number: Int32) -> Int32 {
        assembly.drop(pool)
        _ = nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), number, HTTP2ErrorCode.protocolError.rawValue)
        let verdict = controlGlitch()
        return verdict == 0 ? cnghttp2_give_up_stream() : verdict
    }

    /// A response's head or trailers over the limits: nobody can be asked for less.
    private mutating func overLimit(_ number: Int32) -> Int32 {
        let verdict = chargeOverLimit()
        guard verdict == 0 else { return verdict }
        let slot = Int(assembly.slot)
        if assembly.kind == .response, slot < recordsUsed, records[slot].number == number {
            records[slot].flags.formUnion([.isAnnounced, .resetReported])
            append(.refusedHead, slot: slot, limit: assembly.limit)
        }
        assembly.drop(pool)
        _ = nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), number, HTTP2ErrorCode.cancel.rawValue)
        return cnghttp2_give_up_stream()
    }

    /// END_HEADERS, and nghttp2 has found nothing wrong.
    mutating func headersEnded(_ number: Int32, endsStream: Bool) -> Int32 {
        let slot = Int(assembly.slot)
        guard assembly.kind != .none, slot < recordsUsed, records[slot].number == number else { return 0 }
        let step = assembly.end(&random, pool)
        if step == .malformed {
            let verdict = malformed(number)
            return verdict == cnghttp2_give_up_stream() ? 0 : verdict
        }
        if step == .overLimit {
            let verdict = chargeOverLimit()
            guard verdict == 0 else { return verdict }
        }
        if endsStream { records[slot].flags.insert(.remoteEnded) }
        switch assembly.kind {
        case .request:
            if assembly.isExtendedConnect { records[slot].flags.insert(.isExtendedConnect) }
            announceHead(slot, step == .good ? (endsStream ? .lastHead : .head) : .refusedHead)
            streamsServed += 1
            if streamsServed >= policy.requestsPerConnection { wantsDrain = true }
        case .response:
            if assembly.status < 200 {
                records[slot].interimCount += 1
                // None needs more than a few, and each takes memory until the owner has read it.
                if records[slot].interimCount > 16 {
                    let verdict = malformed(number)
                    return verdict == cnghttp2_give_up_stream() ? 0 : verdict
                }
            } else {
                records[slot].flags.insert(.hasFinalHead)
            }
            announceHead(slot, endsStream ? .lastHead : .head)
        case .trailers:
            pool.pointee.give(&records[slot].trailers)
            records[slot].trailers = assembly.takeText()
            append(.trailers, slot: slot)
        case .none: break
        }
        assembly.drop(pool)
        return 0
    }

    private mutating func announceHead(_ slot: Int, _ kind: StoredEvent.Kind) {
        var text = assembly.takeText()
        let offset = records[slot].head.count
        let count = text.count
        if offset == 0 {
            pool.pointee.give(&records[slot].head)
            records[slot].head = text
        } else {
            // An interim head waits to be read.
            records[slot].head.append(text.bytes, pool)
            pool.pointee.give(&text)
        }
        records[slot].flags.insert(.isAnnounced)
        append(
            kind, slot: slot, limit: assembly.limit, value: UInt32(truncatingIfNeeded: offset),
            count: UInt32(truncatingIfNeeded: count))
    }

    mutating func dataReceived(_ number: Int32, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
        guard let slot = slot(number: number), records[slot].flags.isDisjoint(with: [.resetByOwner, .isReleased]),
            records[slot].flags.contains(.isAnnounced)
        else {
            // Nobody reads it: the connection has its window back, and the stream's ends some time.
            _ = nghttp2_session_consume_connection(session, count)
            return 0
        }
        records[slot].unconsumed += count
        append(.data, slot: slot, value: UInt32(truncatingIfNeeded: count), bytes: UnsafeRawPointer(bytes))
        return 0
    }

    mutating func dataFrameEnded(_ number: Int32, isEmpty: Bool, endsStream: Bool) -> Int32 {
        // Those without padding have been counted.
        if isEmpty, !endsStream { return controlGlitch() }
        guard endsStream, let slot = slot(number: number) else { return 0 }
        records[slot].flags.insert(.remoteEnded)
        append(.end, slot: slot)
        return 0
    }

    mutating func resetReceived(_ number: Int32, _ code: UInt32) -> Int32 {
        guard let slot = slot(number: number) else { return resetGlitch() }
        // A server that has answered and wants no more of the request says so in this way (RFC 9113 §8.1).
        let isOrderly = !isServer && code == HTTP2ErrorCode.noError.rawValue && records[slot].flags.contains(.remoteEnded)
        if isOrderly { return 0 }
        records[slot].wasResetByPeer = true
        report(reset: slot, code)
        return resetGlitch()
    }

    mutating func report(reset slot: Int, _ code: UInt32) {
        guard records[slot].flags.contains(.isAnnounced) || !isServer,
            records[slot].flags.isDisjoint(with: [.resetReported, .resetByOwner, .isReleased])
        else { return }
        records[slot].flags.insert(.resetReported)
        let isSafe =
            !isServer && code == HTTP2ErrorCode.refusedStream.rawValue && !records[slot].flags.contains(.isAnnounced)
        append(isSafe ? .resetSafely : .reset, slot: slot, value: code)
    }

    mutating func settingsReceived(isAcknowledgement: Bool) -> Int32 {
        if isAcknowledgement {
            settingsDeadline = .never
            return 0
        }
        let window = nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE)
        let isSmaller = window < peerWindow
        peerWindow = window
        let most = nghttp2_session_get_remote_settings(session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
        peerMaxConcurrent = Int(most)
        append(.settings)
        // A window that goes up and down makes nghttp2 walk over all streams each time.
        return isSmaller ? controlGlitch(4) : 0
    }

    mutating func pingAcknowledged() {
        guard pingsUnderWay > 0 else { return }
        pingsUnderWay -= 1
        if pingsUnderWay == 0 { pingDeadline = .never }
        append(.ping)
    }

    mutating func goAwayReceived(_ last: Int32, _ code: UInt32) {
        goAwayReceived = true
        append(.goAway, lastStream: last, value: code)
    }

    /// A frame that nghttp2 found to be an error, of the stream or of the connection.
    mutating func invalidFrameReceived(isHeaders: Bool) -> Int32 {
        if isHeaders {
            assembly.drop(pool)
        }
        return controlGlitch()
    }

    /// The stream is gone for nghttp2.
    mutating func streamClosed(_ number: Int32, _ code: UInt32) {
        guard let slot = slot(number: number), records[slot].number == number else { return }
        if assembly.kind != .none, Int(assembly.slot) == slot { assembly.drop(pool) }
        let flags = records[slot].flags
        let isAnnounced = flags.contains(.isAnnounced) || !isServer
        if isAnnounced, code != HTTP2ErrorCode.noError.rawValue || !flags.contains(.remoteEnded) { report(reset: slot, code) }
        records[slot].flags.insert(.isClosed)
        dropSending(slot)
        // The work of a stream that did not run its course goes on until the owner has stopped it.
        if !isServer || flags.contains(.localEnded) || !isAnnounced { freePlace(slot) }
        if !isAnnounced || flags.contains(.isReleased) {
            let unread = records[slot].unconsumed
            if unread > 0 { _ = nghttp2_session_consume_connection(session, unread) }
            freeRecord(slot)
        } else {
            append(.closed, slot: slot)
        }
    }
}

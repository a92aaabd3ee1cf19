import CNghttp2
import Primitives

/// What nghttp2 asks for when it makes frames.
extension SessionState {
    /// How many body bytes the next DATA frame has; they are copied by `sendData`.
    mutating func readBody(
        _ number: Int32, _ slot: Int, _ most: Int, _ flags: UnsafeMutablePointer<UInt32>
    ) -> Int {
        guard slot < recordsUsed, records[slot].number == number, !records[slot].flags.contains(.isClosed) else {
            return cnghttp2_deferred()
        }
        let pending = records[slot].pending
        if pending > 0, pendingStreams > 1, records[slot].round == round {
            // Each stream has one frame, then the next one has.
            records[slot].flags.insert(.isWaiting)
            waitingStreams += 1
            return cnghttp2_deferred()
        }
        let isEnded = records[slot].flags.contains(.localEnded)
        if pending == 0, !isEnded {
            records[slot].flags.insert(.isDeferred)
            return cnghttp2_deferred()
        }
        records[slot].round = round
        var result = NGHTTP2_DATA_FLAG_NO_COPY.rawValue
        let count = min(most, pending)
        if isEnded, count == pending {
            result |= NGHTTP2_DATA_FLAG_EOF.rawValue
            if records[slot].flags.contains(.hasTrailers), submitTrailers(number, slot) {
                result |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
            }
        }
        flags.pointee = result
        return count
    }

    /// Hands the trailers to nghttp2, which sends them behind the DATA frame that it asks for just now.
    private mutating func submitTrailers(_ number: Int32, _ slot: Int) -> Bool {
        records[slot].flags.remove(.hasTrailers)
        var head = OutgoingHead(pool)
        let isGood = head.readTrailers(records[slot].trailersToSend.bytes) && head.count > 0
        let isSubmitted = isGood && nghttp2_submit_trailer(session, number, head.fields, head.count) == 0
        pool.pointee.give(&records[slot].trailersToSend)
        return isSubmitted
    }

    /// Writes one DATA frame: its header, and body bytes straight from where they are.
    mutating func sendData(_ number: Int32, _ slot: Int, _ header: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
        guard let out, slot < recordsUsed, records[slot].number == number, count <= records[slot].pending else {
            return cnghttp2_give_up_stream()
        }
        guard out.pointee.count < outLimit else {
            limitReached = true
            return cnghttp2_would_block()
        }
        out.pointee.reserve(count + 9)
        out.pointee.append(RawSpan(_unsafeStart: UnsafeRawPointer(header), byteCount: 9))
        earned.dataSent(count)
        guard count > 0 else { return 0 }
        let own = min(count, records[slot].body.count)
        if own > 0 {
            out.pointee.append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: records[slot].body.bytes[..<own])))
            records[slot].body.drop(own)
            if records[slot].body.isEmpty { pool.pointee.give(&records[slot].body) }
        }
        if count > own {
            let lent = records[slot].lent
            out.pointee.append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: lent[..<(count - own)])))
            records[slot].lent = UnsafeRawBufferPointer(rebasing: lent[(count - own)...])
        }
        pendingTotal -= count
        records[slot].sentSince &+= count
        let left = records[slot].pending
        if left == 0 { pendingStreams -= 1 }
        if left <= policy.sendLowWaterBytes, records[slot].flags.contains(.isFull) {
            records[slot].flags.remove(.isFull)
            records[slot].flags.insert(.isDrained)
            drainedStreams += 1
        }
        return 0
    }

    /// A round is over: the streams that waited for it may go on. False when there were none.
    mutating func nextRound() -> Bool {
        round &+= 1
        guard waitingStreams > 0 else { return false }
        waitingStreams = 0
        for slot in 0..<recordsUsed where records[slot].flags.contains(.isWaiting) {
            records[slot].flags.remove(.isWaiting)
            _ = nghttp2_session_resume_data(session, records[slot].number)
        }
        return true
    }

    /// So many body bytes more wait to be sent.
    mutating func addPending(_ slot: Int, _ count: Int) {
        if records[slot].pending == 0 { pendingStreams += 1 }
        pendingTotal += count
    }

    /// The owner is to hear when the stream has little left.
    mutating func markFull(_ slot: Int) {
        if records[slot].pending > policy.sendLowWaterBytes { records[slot].flags.insert(.isFull) }
    }

    /// Tells nghttp2 that there is something to send where there was nothing before.
    mutating func resume(_ slot: Int) {
        guard records[slot].flags.contains(.isDeferred) else { return }
        records[slot].flags.remove(.isDeferred)
        _ = nghttp2_session_resume_data(session, records[slot].number)
    }

    /// Writes our SETTINGS, the first frame of a server, with the limit of streams that we enforce (see `submitSettings`).
    mutating func sayStreamLimit(_ frame: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        saysStreamLimit = false
        let limit = UInt32(clamping: max(policy.maxConcurrentStreams, 1))
        guard frame.count >= 9, frame[3] == FrameType.settings else { return out.append(RawSpan(_unsafeBytes: frame)) }
        out.append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: frame[..<9])))
        // Entries are an identifier of two bytes and a value of four (RFC 9113 §6.5.1).
        var at = 9
        while frame.count - at >= 6 {
            let id = UInt16(frame[at]) << 8 | UInt16(frame[at + 1])
            if Int32(id) == Int32(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS.rawValue) {
                out.append(frame[at])
                out.append(frame[at + 1])
                for byte in 0..<4 { out.append(UInt8(truncatingIfNeeded: limit >> (24 - 8 * byte))) }
            } else {
                out.append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: frame[at..<(at + 6)])))
            }
            at += 6
        }
    }

    /// Our side of a stream is done.
    mutating func endSent(_ number: Int32) {
        guard isServer, openWithoutOwner > 0, let slot = slot(number: number), records[slot].flags.contains(.isReleased) else {
            return
        }
        stopRequest(slot)
    }

    mutating func frameSent(_ type: UInt8, _ number: Int32, _ code: UInt32) {
        if type == FrameType.reset {
            guard isServer else { return }
            noteReset(number)
            // What the owner resets is no fault of the peer's.
            if let slot = slot(number: number), records[slot].flags.contains(.resetByOwner) { return }
            switch HTTP2ErrorCode(rawValue: code) {
            case .refusedStream: streamFaults.refused += 1
            case .cancel: streamFaults.tooLarge += 1
            default: streamFaults.malformed += 1
            }
            _ = resetGlitch()
        } else if type == FrameType.goAway, code != 0, failure == nil {
            failure = .connectionError(HTTP2ErrorCode(rawValue: code))
        }
    }
}

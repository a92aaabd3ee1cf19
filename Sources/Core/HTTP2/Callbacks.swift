import CNghttp2

/// nghttp2's callbacks: each finds the session's state behind the user data and calls one method of it.
///
/// `on_invalid_header` stays unset, which resets the stream; returning 0 from it would drop the field and let the request in.
func installCallbacks(_ callbacks: OpaquePointer) {
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, onBeginHeaders)
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, onHeader)
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, onFrameReceived)
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, onInvalidFrameReceived)
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, onDataReceived)
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, onStreamClosed)
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, onFrameSent)
    nghttp2_session_callbacks_set_send_data_callback(callbacks, onSendData)
}

/// The state: alive for as long as nghttp2's session is, and not in use when nghttp2 calls back.
@inline(__always)
private func state(_ userData: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<SessionState> {
    guard let userData else { preconditionFailure("a session is made with its state") }
    return userData.assumingMemoryBound(to: SessionState.self)
}

/// A frame's header, which all frames begin with.
@inline(__always)
private func header(_ frame: UnsafePointer<nghttp2_frame>?) -> UnsafePointer<nghttp2_frame_hd> {
    guard let frame else { preconditionFailure("nghttp2 calls with a frame") }
    return UnsafeRawPointer(frame).assumingMemoryBound(to: nghttp2_frame_hd.self)
}

@inline(__always)
private func body<Frame>(_ frame: UnsafePointer<nghttp2_frame_hd>, _: Frame.Type) -> UnsafePointer<Frame> {
    UnsafeRawPointer(frame).assumingMemoryBound(to: Frame.self)
}

private func onBeginHeaders(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    let frame = header(frame)
    let isRequest = body(frame, nghttp2_headers.self).pointee.cat == NGHTTP2_HCAT_REQUEST
    return state(userData).pointee.headersBegan(frame.pointee.stream_id, isRequest: isRequest)
}

private func onHeader(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ name: OpaquePointer?, _ value: OpaquePointer?, _: UInt8,
    _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    guard let name, let value else { return cnghttp2_give_up_stream() }
    return state(userData).pointee.fieldReceived(header(frame).pointee.stream_id, name, value)
}

private func onFrameReceived(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    let frame = header(frame)
    let state = state(userData)
    let stream = frame.pointee.stream_id
    let endsStream = frame.pointee.flags & FrameFlag.endStream != 0
    switch frame.pointee.type {
    case FrameType.data:
        let padding = body(frame, nghttp2_data.self).pointee.padlen
        return state.pointee.dataFrameEnded(
            stream, isEmpty: padding > 0 && frame.pointee.length == padding, endsStream: endsStream)
    case FrameType.headers: return state.pointee.headersEnded(stream, endsStream: endsStream)
    case FrameType.reset:
        return state.pointee.resetReceived(stream, body(frame, nghttp2_rst_stream.self).pointee.error_code)
    case FrameType.settings:
        return state.pointee.settingsReceived(isAcknowledgement: frame.pointee.flags & FrameFlag.acknowledgement != 0)
    case FrameType.ping:
        if frame.pointee.flags & FrameFlag.acknowledgement != 0 { state.pointee.pingAcknowledged() }
        return 0
    case FrameType.goAway:
        let goAway = body(frame, nghttp2_goaway.self)
        state.pointee.goAwayReceived(goAway.pointee.last_stream_id, goAway.pointee.error_code)
        return 0
    default: return 0
    }
}

private func onInvalidFrameReceived(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _: Int32, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    state(userData).pointee.invalidFrameReceived(isHeaders: header(frame).pointee.type == FrameType.headers)
}

private func onDataReceived(
    _: OpaquePointer?, _: UInt8, _ stream: Int32, _ bytes: UnsafePointer<UInt8>?, _ count: Int,
    _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    guard let bytes else { return 0 }
    return state(userData).pointee.dataReceived(stream, bytes, count)
}

/// Never returns an error: some versions of nghttp2 do not survive one (CVE-2023-35945).
private func onStreamClosed(
    _: OpaquePointer?, _ stream: Int32, _ code: UInt32, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    state(userData).pointee.streamClosed(stream, code)
    return 0
}

private func onFrameSent(
    _: OpaquePointer?, _ frame: UnsafePointer<nghttp2_frame>?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    let frame = header(frame)
    switch frame.pointee.type {
    case FrameType.reset:
        let code = body(frame, nghttp2_rst_stream.self).pointee.error_code
        state(userData).pointee.frameSent(FrameType.reset, frame.pointee.stream_id, code)
    case FrameType.goAway:
        state(userData).pointee.frameSent(FrameType.goAway, 0, body(frame, nghttp2_goaway.self).pointee.error_code)
    case FrameType.data, FrameType.headers:
        if frame.pointee.flags & FrameFlag.endStream != 0 { state(userData).pointee.endSent(frame.pointee.stream_id) }
    default: break
    }
    return 0
}

private func onSendData(
    _: OpaquePointer?, _ frame: UnsafeMutablePointer<nghttp2_frame>?, _ frameHeader: UnsafePointer<UInt8>?, _ count: Int,
    _ source: UnsafeMutablePointer<nghttp2_data_source>?, _ userData: UnsafeMutableRawPointer?
) -> Int32 {
    guard let frameHeader, let source else { return cnghttp2_give_up_stream() }
    return state(userData).pointee.sendData(
        header(UnsafePointer(frame)).pointee.stream_id, Int(source.pointee.fd), frameHeader, count)
}

/// nghttp2 wants to make a DATA frame. The source holds the stream's slot.
private func onReadBody(
    _: OpaquePointer?, _ stream: Int32, _: UnsafeMutablePointer<UInt8>?, _ most: Int, _ flags: UnsafeMutablePointer<UInt32>?,
    _ source: UnsafeMutablePointer<nghttp2_data_source>?, _ userData: UnsafeMutableRawPointer?
) -> Int {
    guard let flags, let source else { return cnghttp2_deferred() }
    return state(userData).pointee.readBody(stream, Int(source.pointee.fd), most, flags)
}

/// Calls `submit` with what nghttp2 is given to ask for a stream's body with, or nil when there is to be no body.
@inline(__always)
func withBodyProvider(
    _ slot: Int, unless hasNoBody: Bool, _ submit: (UnsafePointer<nghttp2_data_provider>?) -> Int32
) -> Int32 {
    if hasNoBody { return submit(nil) }
    var provider = nghttp2_data_provider(
        source: nghttp2_data_source(fd: Int32(truncatingIfNeeded: slot)), read_callback: onReadBody)
    return submit(&provider)
}

/// What one HTTP/2 connection of a client may take (RFC 9113). How many requests it may carry in all is
/// `LimitsConfiguration.requestsPerConnection`.
public struct HTTP2Configuration: Sendable, Equatable {
    /// SETTINGS_MAX_CONCURRENT_STREAMS (§6.5.2).
    public var maxConcurrentStreams = Defaults.http2Streams
    /// Bytes of a request's body before the client has to wait: SETTINGS_INITIAL_WINDOW_SIZE (§6.9.2).
    public var initialWindow = Defaults.http2StreamWindow
    /// Bytes of all bodies of a connection; never below 65,535, with which every connection begins (§6.9.2).
    public var connectionWindow = Defaults.http2ConnectionWindow
    /// Streams that may be reset at once, by either side; a tenth of them comes back each second.
    public var maxResets = Defaults.http2Resets
    /// Frames that may come at once and move nothing; a tenth of them comes back each second.
    public var maxControlFrames = Defaults.http2ControlFrames

    public init() {}
}

import CNghttp2

/// The library that reads and writes the frames.
public enum HTTP2Library {
    /// Its version, for the log at the start, such as `nghttp2 1.52.0`.
    public static var versionText: String {
        guard let version = nghttp2_version(0)?.pointee.version_str else { return "nghttp2" }
        return "nghttp2 " + String(cString: version)
    }

    /// Whether it is 1.52.0 or later: older ones lack the limits on resets, SETTINGS and unread acknowledgements that the session sets.
    public static var isRecentEnough: Bool { nghttp2_version(0x013400) != nil }
}

import COpenSSL

/// The library that does the work.
public enum TLSLibrary {
    /// Its version, for the log at the start, such as `OpenSSL 3.0.22 25 Aug 2026`.
    public static var versionText: String { String(cString: OpenSSL_version(OPENSSL_VERSION)) }
}

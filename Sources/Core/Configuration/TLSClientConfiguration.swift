/// How `https://` instances of a service are spoken to.
public struct TLSClientConfiguration: Sendable, Equatable {
    /// The authorities that are trusted, PEM; nil: those of the system.
    public var caFile: String?
    /// What we show of ourselves; nil: nothing. Set exactly where `keyFile` is.
    public var certFile: String?
    public var keyFile: String?
    /// The name that is asked for (SNI) and verified, in lower case; nil: the host of the instance's URL.
    public var serverName: String?
    /// Whether the certificate's chain and name are verified.
    public var verify = Defaults.verifiesBackends
    public var minimumVersion = Defaults.tlsMinimumVersion

    public init() {}
}

/// What an instance is spoken to with.
public enum UpstreamProtocol: String, Sendable, Equatable, CaseIterable {
    /// HTTP/1.1 on `http://` and a Unix socket; on `https://` what ALPN says, h2 before http/1.1.
    case auto
    case http1 = "http/1.1"
    /// Over TLS alone.
    case h2
    /// Without TLS, by prior knowledge.
    case h2c
}

/// The versions of HTTP that a listener speaks, in the order of the file, which is the order of preference in ALPN (RFC 7301).
public struct ListenerProtocols: Sendable, Equatable {
    /// Not empty; none stands twice.
    public var names: [Name]

    public enum Name: String, Sendable, Equatable, CaseIterable {
        case http1 = "http/1.1"
        /// HTTP/2 over TLS, agreed on by ALPN.
        case h2
        /// HTTP/2 without encryption, by prior knowledge alone (RFC 9113 §3.3).
        case h2c
    }

    public init(_ names: [Name]) { self.names = names }

    public var http1: Bool { names.contains(.http1) }
    public var h2: Bool { names.contains(.h2) }
    public var h2c: Bool { names.contains(.h2c) }

    /// What a listener speaks that does not say it.
    public static func standard(overTLS: Bool) -> ListenerProtocols {
        ListenerProtocols(overTLS ? Defaults.protocolsOverTLS : Defaults.protocols)
    }
}

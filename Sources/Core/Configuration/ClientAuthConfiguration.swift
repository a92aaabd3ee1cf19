/// What clients have to show to be let in: a certificate of their own.
public struct ClientAuthConfiguration: Sendable, Equatable {
    public var mode = Defaults.clientAuthMode
    /// The authorities whose certificates are accepted, PEM.
    public var caFile: String
    /// Certificates between the client's and the one in `caFile`, 1 to 10.
    public var depth = Defaults.clientAuthDepth
    /// Lists of revoked certificates, PEM; with one, every authority of a chain needs a list that is valid.
    public var crlFile: String?
    /// Whether the backend gets `Client-Cert` (RFC 9440).
    public var forwards = Defaults.clientAuthForwards

    public enum Mode: String, Sendable, Equatable, CaseIterable {
        /// No certificate, no connection.
        case require
        /// A client may show none; a bad one is refused all the same.
        case request
    }

    public init(caFile: String) { self.caFile = caFile }
}

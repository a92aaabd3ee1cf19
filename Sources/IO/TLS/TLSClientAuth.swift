/// What is asked of clients' certificates.
public struct TLSClientAuth: Sendable, Hashable {
    public enum Mode: UInt8, Sendable {
        /// A client without a certificate is refused.
        case require
        /// A client may come without one; one that is shown must be good.
        case request
    }

    public var mode: Mode
    /// PEM: who may have issued them. Each certificate of the file is trusted by itself, whether or not it is a root.
    public var caFile: String
    /// How many certificates may stand between the client's and one of the file.
    public var depth: Int
    /// PEM: the revocation lists of all authorities between the client's certificate and the root. A list that is missing or too old
    /// refuses the clients that it is about.
    public var crlFile: String?

    public init(mode: Mode, caFile: String, depth: Int = 4, crlFile: String? = nil) {
        self.mode = mode
        self.caFile = caFile
        self.depth = depth
        self.crlFile = crlFile
    }

    var files: [String] { [caFile] + (crlFile.map { [$0] } ?? []) }
}

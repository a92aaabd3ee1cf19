import Primitives

/// A named step that routes put into their chain.
public struct MiddlewareConfiguration: Sendable, Equatable {
    public var name: String
    public var kind: MiddlewareKind

    public init(name: String, kind: MiddlewareKind) {
        self.name = name
        self.kind = kind
    }
}

public enum MiddlewareKind: Sendable, Equatable {
    case headers(HeaderRules)
    /// A request body longer than this many bytes gets 413; `Int.max` is no limit.
    case bodySize(max: Int)
    case cors(CORSConfiguration)
    /// Who is let in by address: not those of `deny`, and if `allow` is not empty only those of it. One of them is not empty.
    case ipAccess(allow: [AddressBlock], deny: [AddressBlock])
    /// Who is let in by the certificate that the client showed; 403 for everybody else, and for those who showed none.
    case clientCertificate(ClientCertificateRules)
    /// A kind that the daemon was built with. In the order of the file; no name stands twice.
    case custom(type: String, options: [CustomOption])
}

/// Which scripts of other sites are let in (Fetch, "CORS protocol").
public struct CORSConfiguration: Sendable, Equatable {
    /// In lower case: `https://example.com`, `https://*.example.com`, `*`, `null`.
    public var allowOrigins: [String]
    public var allowMethods = Defaults.corsMethods
    /// Names as written.
    public var allowHeaders: [String] = []
    public var exposeHeaders: [String] = []
    /// Never beside the origin `*`.
    public var allowCredentials = false
    /// How long a browser may keep the answer to a preflight.
    public var maxAge = Defaults.corsMaxAge

    public init(allowOrigins: [String]) { self.allowOrigins = allowOrigins }
}

/// One setting of a custom middleware: text, whatever it was in the file.
public struct CustomOption: Sendable, Equatable {
    public var name: String
    public var value: String
    /// Whether the value came out of the environment or a file, so that no message may quote it.
    public var isSecret: Bool

    public init(name: String, value: String, isSecret: Bool = false) {
        self.name = name
        self.value = value
        self.isSecret = isSecret
    }
}

/// Changes to the fields of a request on its way to the backend and of an answer on its way to the client.
public struct HeaderRules: Sendable, Equatable {
    public var request = HeaderChanges()
    public var response = HeaderChanges()

    public init() {}
}

/// Carried out in this order: remove, set, add.
public struct HeaderChanges: Sendable, Equatable {
    /// Names as written.
    public var remove: [String] = []
    /// Takes the place of every field of that name.
    public var set: [HeaderRule] = []
    /// Put behind what is there.
    public var add: [HeaderRule] = []

    public var isEmpty: Bool { remove.isEmpty && set.isEmpty && add.isEmpty }

    public init() {}
}

public struct HeaderRule: Sendable, Equatable {
    /// A token, as written; never a field that the gateway itself owns.
    public var name: String
    public var value: [HeaderValuePiece]

    public init(name: String, value: [HeaderValuePiece]) {
        self.name = name
        self.value = value
    }
}

/// Part of a value that is put together for each request.
public enum HeaderValuePiece: Sendable, Equatable {
    /// No control byte other than HTAB.
    case literal([UInt8])
    case variable(HeaderVariable)
}

/// What `${…}` may name in a header value; the raw value is the name.
public enum HeaderVariable: String, Sendable, Equatable, CaseIterable {
    case clientAddress = "client.address"
    case clientPort = "client.port"
    case requestID = "request.id"
    case route
    case service
    /// The chosen instance; empty before one is chosen.
    case instance
    case host
    /// The canonical path, without the query.
    case path
    case method
    case scheme
    /// RFC 3339 in UTC with milliseconds.
    case timestamp
    case listener
    /// The subject of the client's certificate (RFC 4514); empty where it showed none, as with the two below.
    case clientCertSubject = "client_cert_subject"
    /// SHA-256 of the certificate, hexadecimal in lower case.
    case clientCertFingerprint = "client_cert_fingerprint"
    /// Its other names, `DNS:…`, `URI:…`, `email:…` and `IP:…`, with a comma between two.
    case clientCertSAN = "client_cert_san"
}

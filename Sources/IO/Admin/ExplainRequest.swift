import Configuration
import ConfigurationFile
import HTTPMessages
import Primitives

/// The request that `POST /explain` asks about, as its client would send it.
///
///     {"method": "GET", "url": "http://api.example.com/users/7?x=1", "headers": {"Accept": "text/plain", "X-A": ["1", "2"]},
///      "client": "192.0.2.1", "listener": "web"}
///
/// Nothing in it can break out of its place in the head: methods and names are tokens, values hold no control bytes. Whether
/// the gateway takes the request is not judged here.
public struct ExplainRequest: Sendable {
    public static var bytesMax: Int { 65_536 }
    private static var shape: String { "the body must be an object such as {\"method\": \"GET\", \"url\": \"http://…\"}" }

    public let method: String
    /// As it stands in the request line: what the URL says behind its authority.
    public let target: String
    /// In the order of the body; `Host` first where the URL gave it.
    public let headers: [(name: String, value: String)]
    /// Nil for 127.0.0.1, or for no address at all where the listener is a Unix socket.
    public let client: IPAddress?
    /// Nil for the first one.
    public let listener: String?

    /// Reads a JSON object, or the same as YAML.
    public init(parsing body: [UInt8]) throws(ExplainRequestError) {
        guard body.count <= Self.bytesMax else {
            throw ExplainRequestError(.tooLarge, "", "the body is longer than \(Self.bytesMax >> 10) KiB")
        }
        guard !body.isEmpty else { throw ExplainRequestError(.unreadable, "", "the body is empty; \(Self.shape)") }
        let (root, problems) = YAMLReader.read(body, file: "body")
        if let problem = problems.first {
            throw ExplainRequestError(.unreadable, "", "\(problem.mark): \(problem.message)")
        }
        guard let root, case .mapping(let entries) = root.content else {
            throw ExplainRequestError(.invalid, "", Self.shape)
        }
        var method: String?
        var url: String?
        var headers: [(name: String, value: String)] = []
        var client: IPAddress?
        var listener: String?
        for entry in entries {
            switch entry.key {
            case "method": method = try ExplainField.method(entry.value)
            case "url": url = try ExplainField.url(entry.value)
            case "headers": headers = try ExplainField.headers(entry.value)
            case "client": client = try ExplainField.client(entry.value)
            case "listener": listener = try ExplainField.text(entry.value, "listener", "the name of a listener")
            default:
                throw ExplainRequestError(
                    .invalid, entry.key, "unknown key; the keys are method, url, headers, client and listener")
            }
        }
        guard let method else { throw ExplainRequestError(.invalid, "method", "missing; say which, such as \"GET\"") }
        guard let url else {
            throw ExplainRequestError(.invalid, "url", "missing; say which, such as \"http://api.example.com/users\"")
        }
        let hasHost = headers.contains { $0.name.lowercased() == "host" }
        let (authority, target) = try ExplainField.split(url)
        if let authority {
            // A Host field that is given says what the client sends, as with curl.
            if !hasHost { headers.insert(("Host", authority), at: 0) }
        } else if !hasHost {
            throw ExplainRequestError(
                .invalid, "url", "a path alone names no host; write http://HOST/PATH, or give \"headers\": {\"Host\": …}")
        }
        self.method = method
        self.target = target
        self.headers = headers
        self.client = client
        self.listener = listener
    }
}

import Primitives

/// The kinds of single values that a file holds. Each has a reader (`ScalarKind+….swift`) and a line in the JSON Schema.
enum ScalarKind {
    /// 1 to `maximum` bytes without control characters, tab excepted; `lines` allows line breaks and nothing at all.
    case text(maximum: Int = 1024, lines: Bool = false)
    /// Letters, digits and `_ . - : / @`, up to 128.
    case name
    /// `true`, `false`.
    case truth
    /// `true` and nothing else.
    case onlyTrue
    case integer(ClosedRange<Int>)
    /// `auto` or a number.
    case countOrAuto(ClosedRange<Int>)
    case word([String])
    /// `250ms`, `5s`, `1m`, `1h`, `1d`, or whole seconds; `off` where it may be switched off.
    case duration(ClosedRange<TimeAmount>, off: Bool = false)
    /// `16KiB`, `10MiB`, `64k`, `1m`, or bytes; 0 for no limit where that is allowed.
    case size(ClosedRange<Int>, zeroIsUnlimited: Bool = false)
    /// `20%` or `0.2`, in 1/1000; `step` is how fine it may be.
    case ratio(ClosedRange<Int> = 0...1000, step: Int = 1)
    /// `1.25` or `125%`, in 1/1000.
    case factor(ClosedRange<Int>)
    /// One of the words, or a number.
    case wordOrInteger([String], ClosedRange<Int>)
    /// `10/s`, `100/m`.
    case rate
    case listenAddress
    case instanceURL
    case addressBlock
    /// `example.com`, `*.example.com`.
    case hostPattern
    /// What `Host` may say: a name or an address, perhaps with a port.
    case hostField
    case pathPattern
    /// A path from `/` on, without query.
    case path
    /// A path, perhaps with a query, in ASCII: what a request can ask for.
    case target
    /// A path that may name the template's segments and end in `/*`.
    case rewritePath
    case method
    /// A token (RFC 9110 §5.6.2).
    case token
    /// A field name that rules may touch.
    case fieldName(MessageSide)
    /// A field value with variables.
    case fieldValue
    /// A `Location` with variables.
    case location
    /// The content of a field, without variables.
    case fixedFieldValue
    /// The value itself, `file:/path`, or `cred:name` (systemd).
    case secret
    /// An absolute path in the file system, or one of the words.
    case filePath(orWord: [String] = [])
    case url(schemes: [String])
    case origin
    /// A host name or an address without a port and without `*`.
    case hostName
    /// `stdout`, `stderr`, `journald`, a file, or syslog; `none` where it may be switched off.
    case logOutput(off: Bool)
    /// A file, absolute or below the directory of the configuration file.
    case file
    /// What `Upgrade` may ask for.
    case upgrade
    /// A name in a client's certificate, `DNS:client.example.com`.
    case certificateName
    /// SHA-256, hexadecimal.
    case fingerprint
    /// Text of any form, or a secret by `file:` or `cred:`.
    case option

    /// What is expected, for a message.
    var expected: String {
        switch self {
        case .text(_, true): "text"
        case .text: "text on one line"
        case .name: "a name of letters, digits and _ . - : / @"
        case .truth: "true or false"
        case .onlyTrue: "true"
        case .integer: "a whole number"
        case .countOrAuto: "auto or a whole number"
        case .word(let words): ScalarKind.choice(words)
        case .duration(_, let off): "a duration such as 250ms, 5s, 1m, 1h or 1d" + (off ? ", or off" : "")
        case .size: "a size such as 512, 16KiB or 10MiB"
        case .ratio: "a share such as 20% or 0.2"
        case .factor: "a factor such as 1.25 or 125%"
        case .wordOrInteger(let words, let range):
            ScalarKind.choice(words + ["a number between \(range.lowerBound) and \(range.upperBound)"])
        case .rate: "a rate such as 10/s or 100/m"
        case .listenAddress: "an address such as 0.0.0.0:8000, [::]:8000 or unix:/run/x.sock"
        case .instanceURL: "a URL such as http://10.0.0.5:8080 or unix:/run/app.sock"
        case .addressBlock: "an address or a block such as 10.0.0.0/8"
        case .hostPattern: "a host name such as example.com or *.example.com"
        case .hostField: "a host name or an address, perhaps with a port"
        case .pathPattern: "a path such as /users, /users/* or /users/{id}"
        case .path: "a path that begins with /"
        case .target: "a path such as /health or /health?full=1"
        case .rewritePath: "a path such as /new, /new/* or /new/{id}"
        case .method: "a method such as GET"
        case .token: "a token (letters, digits and !#$%&'*+-.^_`|~)"
        case .fieldName: "a header name"
        case .fieldValue, .fixedFieldValue: "a header value"
        case .location: "a path or an absolute URL"
        case .secret: "a secret, file:/path or cred:name"
        case .filePath(let words): words.isEmpty ? "an absolute path" : ScalarKind.choice(words + ["an absolute path"])
        case .url(let schemes): "a URL that begins with \(schemes.map { $0 + "://" }.joined(separator: " or "))"
        case .origin: "an origin such as https://example.com or https://*.example.com, or *, or null"
        case .hostName: "a host name such as gateway.example.com"
        case .logOutput(let off):
            ScalarKind.choice(LogOutput.words(off: off) + ["an absolute path", "a collector such as syslog+udp://host:514"])
        case .file: "a file"
        case .upgrade: "a protocol such as websocket"
        case .certificateName: "a name such as DNS:client.example.com, URI:spiffe://…, email:… or IP:…"
        case .fingerprint: "a SHA-256 fingerprint of 64 hexadecimal digits"
        case .option: "text, file:/path or cred:name"
        }
    }

    static func choice(_ words: [String]) -> String {
        guard let last = words.last, words.count > 1 else { return words.first ?? "" }
        return words.dropLast().joined(separator: ", ") + " or " + last
    }
}

/// What a scalar was read as.
enum ScalarReading {
    case value(Value.Content)
    /// A message, and what was probably meant or "".
    case problem(String, suggestion: String)

    static func problem(_ message: String) -> ScalarReading { .problem(message, suggestion: "") }
}

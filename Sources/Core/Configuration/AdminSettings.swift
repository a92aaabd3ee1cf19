/// What a client on the same machine needs to know of the daemon, from a file of which nothing else need be right.
///
/// The daemon judges the file; a client that asks for that verdict must not be kept from it by the very mistake.
public struct AdminSettings: Sendable {
    /// Nil where the file does not say it in a way that can be understood here; then `addressProblems` says why.
    public private(set) var address: ListenAddress?
    public private(set) var addressProblems: [Diagnostic] = []
    /// False only where the file says so in so many words.
    public private(set) var isEnabled = true
    /// Empty where there is none, or where it cannot be read here; then `tokenProblems` says why.
    public private(set) var token = Secret()
    public private(set) var tokenProblems: [Diagnostic] = []
    /// Nil where the listener speaks plain text.
    public private(set) var tls: Encryption?
    /// Nil where the file names none.
    public private(set) var pidFile: String?

    /// What a client must know of `admin.tls`.
    public struct Encryption: Sendable {
        /// Those of the listener, the one for clients that name no host first; empty where none can be read here, and then `problems`
        /// says why.
        public fileprivate(set) var certificateFiles: [String] = []
        public fileprivate(set) var problems: [Diagnostic] = []
    }

    /// - Parameters:
    ///   - root: the file, as far as its text could be read.
    ///   - isWhole: whether that is all of it. Where it is not, what is missing may stand behind the fault, and is not taken to be
    ///     the default.
    ///   - faults: what is wrong with the text.
    public init(reading root: Node?, isWhole: Bool, file: String, faults: [Diagnostic], source: some SecretSource) {
        let pidFile = root?.value(at: ["server", "pid_file"])
        if case .text(let path)? = pidFile.flatMap({ Self.read($0, .filePath(), "server.pid_file", source).content }) {
            self.pidFile = path
        }
        let admin = root?.entry("admin")?.value
        if let enabled = admin?.entry("enabled")?.value,
            case .truth(false)? = Self.read(enabled, .truth, "admin.enabled", source).content
        {
            isEnabled = false
        }
        readAddress(admin, isCut: !isWhole && (admin == nil || root?.entries.last?.key == "admin"), file, faults, source)
        if let written = admin?.entry("tls")?.value, !written.isNull { readTLS(written, source) }
        if let written = admin?.entry("token")?.value {
            let reading = Self.read(written, .secret, "admin.token", source)
            if case .secret(let secret)? = reading.content { token = secret } else { tokenProblems = reading.problems }
        }
    }

    private mutating func readAddress(
        _ admin: Node?, isCut: Bool, _ file: String, _ faults: [Diagnostic], _ source: some SecretSource
    ) {
        guard let written = admin?.entry("address")?.value else {
            if isCut || admin.map({ !$0.isMapping }) == true {
                addressProblems = faults
                if let admin, !admin.isMapping {
                    addressProblems.append(
                        Diagnostic(.error, mark: admin.mark, path: "admin", message: "expected a mapping, not \(admin.kindText)"))
                }
            } else {
                address = Defaults.adminAddress
            }
            return
        }
        let reading = Self.read(written, .listenAddress, "admin.address", source)
        if case .listenAddress(let address)? = reading.content {
            self.address = address
        } else {
            addressProblems = reading.problems
        }
    }

    private mutating func readTLS(_ written: Node, _ source: some SecretSource) {
        if let enabled = written.entry("enabled")?.value,
            case .truth(false)? = Self.read(enabled, .truth, "admin.tls.enabled", source).content
        {
            return
        }
        var tls = Encryption()
        let certificates = written.entry("certificates")?.value
        var elements: [Node] = []
        if case .sequence(let nodes)? = certificates?.content { elements = nodes }
        for (index, element) in elements.enumerated() {
            let path = "admin.tls.certificates[\(index)].cert_file"
            guard let named = element.entry("cert_file")?.value else { continue }
            let reading = Self.read(named, .file, path, source)
            if case .text(let file)? = reading.content {
                tls.certificateFiles.append(named.mark.path(of: file))
            } else {
                tls.problems += reading.problems
            }
        }
        if tls.certificateFiles.isEmpty, tls.problems.isEmpty {
            let mark = (certificates ?? written).mark
            tls.problems = [Diagnostic(.error, mark: mark, path: "admin.tls.certificates", message: "names no certificate")]
        }
        self.tls = tls
    }

    private static func read(
        _ node: Node, _ kind: ScalarKind, _ path: String, _ source: some SecretSource
    ) -> (content: Value.Content?, problems: [Diagnostic]) {
        var validator = Validator(diagnostics: DiagnosticList(), source: source)
        let trail = path.split(separator: ".").reduce(KeyTrail.root) { $0.appending(String($1)) }
        let content = validator.validate(node, as: .scalar(kind), at: trail).content
        let problems = validator.diagnostics.sorted().filter { $0.severity == .error }
        return (problems.isEmpty ? content : nil, problems)
    }
}

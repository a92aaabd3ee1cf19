import Configuration
import ConfigurationFile
import Glibc
import Primitives
import TLS

/// The admin listener to ask, and what to show it.
public struct AdminPlace: Sendable {
    public let address: AdminAddress
    /// The bearer token; empty for none.
    public let token: Secret
    /// Where the address comes from.
    public let source: Source
    /// Address and token, if any, are those of the configuration file; then the daemon may still have older ones.
    public let isOfFile: Bool
    /// Why the configuration file's token could not be read here.
    public let tokenProblems: [String]
    /// Nil for a connection that is not encrypted.
    public let tls: AdminTLS?
    /// What the configuration file calls `server.pid_file`; nil where the address does not come from it.
    public let pidFile: String?

    public enum Source: Sendable {
        case commandLine, environment, file
    }

    public init(address: AdminAddress, token: Secret = Secret(), source: Source = .commandLine, tls: AdminTLS? = nil) {
        self.init(address: address, token: token, source: source, isOfFile: false, tokenProblems: [], tls: tls, pidFile: nil)
    }

    private init(
        address: AdminAddress, token: Secret, source: Source, isOfFile: Bool, tokenProblems: [String], tls: AdminTLS?,
        pidFile: String?
    ) {
        self.address = address
        self.token = token
        self.source = source
        self.isOfFile = isOfFile
        self.tokenProblems = tokenProblems
        self.tls = tls
        self.pidFile = pidFile
    }

    /// What was given on the command line: empty strings for what was not. A token itself is never given there, since every user
    /// of the machine can read the arguments of a process.
    public struct Wishes: Sendable {
        public var address: String
        public var tokenFile: String
        /// Whom to trust, in the place of the listener's own certificate.
        public var caFile: String
        /// The name in the certificate that an authority of `caFile` has issued; empty: the address.
        public var serverName: String
        /// What we show of ourselves.
        public var certificateFile: String
        public var keyFile: String
        public var configurationFile: String

        public init(
            address: String = "", tokenFile: String = "", caFile: String = "", serverName: String = "",
            certificateFile: String = "", keyFile: String = "", configurationFile: String
        ) {
            self.address = address
            self.tokenFile = tokenFile
            self.caFile = caFile
            self.serverName = serverName
            self.certificateFile = certificateFile
            self.keyFile = keyFile
            self.configurationFile = configurationFile
        }
    }

    /// Finds the place: the address from the command line, SLUICE_ADMIN or the configuration file; the token from the file that
    /// the command line names, SLUICE_ADMIN_TOKEN or the configuration file.
    ///
    /// The file's token goes to the file's address only, and so does what the file says of encryption: an address from elsewhere is
    /// spoken to in plain text unless the command line names whom to trust. What else is wrong with the file does not matter here.
    public static func find(
        _ wishes: Wishes, environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }
    ) throws(AdminError) -> AdminPlace {
        var token = Secret()
        if !wishes.tokenFile.isEmpty {
            token = try TokenFile.read(wishes.tokenFile)
        } else if let given = environment("SLUICE_ADMIN_TOKEN"), !given.isEmpty {
            token = try TokenFile.checked(Array(given.utf8), from: "SLUICE_ADMIN_TOKEN")
        }
        if !wishes.address.isEmpty {
            let address = try address(wishes.address, from: "--admin")
            return AdminPlace(address: address, token: token, tls: try tls(wishes, of: nil, at: address))
        }
        if let given = environment("SLUICE_ADMIN"), !given.isEmpty {
            let address = try address(given, from: "SLUICE_ADMIN")
            return AdminPlace(
                address: address, token: token, source: .environment, tls: try tls(wishes, of: nil, at: address))
        }
        return try inFile(wishes, token: token)
    }

    /// - Parameter settings: what the configuration file says; nil where the address is not the file's.
    private static func tls(
        _ wishes: Wishes, of settings: AdminSettings?, at address: AdminAddress
    ) throws(AdminError) -> AdminTLS? {
        guard wishes.certificateFile.isEmpty == wishes.keyFile.isEmpty else {
            throw AdminError(.usage, "--cert-file and --key-file go together: a certificate, and its private key")
        }
        let trust: AdminTLS.Trust
        if !wishes.caFile.isEmpty {
            let name = wishes.serverName.isEmpty ? address.hostName : wishes.serverName
            guard TLSServerName(name) != nil else {
                throw AdminError(.usage, "--server-name: \"\(name)\" is neither a host name nor an address")
            }
            trust = .authorities(file: wishes.caFile, name: name)
        } else if !wishes.serverName.isEmpty {
            throw AdminError(.usage, "--server-name goes with --ca-file, which names the authorities to trust")
        } else if let tls = settings?.tls {
            guard !tls.certificateFiles.isEmpty else {
                throw AdminError(
                    .configuration,
                    tls.problems.map { "\($0)" } + [
                        "so the certificate of the admin listener is not known; name whom to trust with --ca-file"
                    ])
            }
            trust = .exactly(tls.certificateFiles)
        } else if wishes.certificateFile.isEmpty {
            return nil
        } else {
            let reason = settings == nil ? "the address is not the configuration file's" : "the admin listener has no tls"
            throw AdminError(.usage, "--cert-file: \(reason); encrypt the connection with --ca-file")
        }
        func given(_ path: String) -> String? { path.isEmpty ? nil : path }
        return AdminTLS(trust, certificateFile: given(wishes.certificateFile), keyFile: given(wishes.keyFile))
    }

    private static func address(_ text: String, from source: String) throws(AdminError) -> AdminAddress {
        guard let address = AdminAddress(text) else {
            throw AdminError(
                .usage, "\(source): \"\(text)\" is no address; expected one such as 127.0.0.1:9901, [::1]:9901 or unix:/path")
        }
        return address
    }

    private static func inFile(_ wishes: Wishes, token: Secret) throws(AdminError) -> AdminPlace {
        let path = wishes.configurationFile
        let settings = ConfigurationLoader.adminSettings(path: path)
        guard settings.isEnabled else {
            throw AdminError(
                .configuration,
                "\(path) switches the admin listener off; without it the daemon cannot be asked, and reloads on kill -HUP only")
        }
        guard let written = settings.address else {
            throw AdminError(
                .configuration,
                settings.addressProblems.map { "\($0)" } + [
                    "so the address of the admin listener is not known; name it with --admin or SLUICE_ADMIN"
                ])
        }
        guard let address = AdminAddress(of: written) else {
            throw AdminError(
                .configuration,
                "\(path) leaves the port of the admin listener to the system; name the address with --admin or SLUICE_ADMIN")
        }
        var problems = token.isEmpty ? settings.tokenProblems.map { "\($0)" } : []
        var ofFile = Secret()
        if token.isEmpty, !settings.token.isEmpty {
            do {
                ofFile = try TokenFile.checked(settings.token.bytes, from: "\(path): admin.token")
            } catch {
                problems += error.lines
            }
        }
        return AdminPlace(
            address: address, token: token.isEmpty ? ofFile : token, source: .file, isOfFile: token.isEmpty && problems.isEmpty,
            tokenProblems: problems, tls: try tls(wishes, of: settings, at: address), pidFile: settings.pidFile)
    }
}

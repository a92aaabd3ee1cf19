import Configuration
import ConfigurationFile
import Glibc
import Primitives

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
    /// What the configuration file calls `server.pid_file`; nil where the address does not come from it.
    public let pidFile: String?

    public enum Source: Sendable {
        case commandLine, environment, file
    }

    public init(address: AdminAddress, token: Secret = Secret(), source: Source = .commandLine) {
        self.init(address: address, token: token, source: source, isOfFile: false, tokenProblems: [], pidFile: nil)
    }

    private init(
        address: AdminAddress, token: Secret, source: Source, isOfFile: Bool, tokenProblems: [String], pidFile: String?
    ) {
        self.address = address
        self.token = token
        self.source = source
        self.isOfFile = isOfFile
        self.tokenProblems = tokenProblems
        self.pidFile = pidFile
    }

    /// What was given on the command line: empty strings for what was not. A token itself is never given there, since every user
    /// of the machine can read the arguments of a process.
    public struct Wishes: Sendable {
        public var address: String
        public var tokenFile: String
        public var configurationFile: String

        public init(address: String = "", tokenFile: String = "", configurationFile: String) {
            self.address = address
            self.tokenFile = tokenFile
            self.configurationFile = configurationFile
        }
    }

    /// Finds the place: the address from the command line, SLUICE_ADMIN or the configuration file; the token from the file that
    /// the command line names, SLUICE_ADMIN_TOKEN or the configuration file.
    ///
    /// The file's token goes to the file's address only. What else is wrong with the file does not matter here.
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
            return AdminPlace(address: try address(wishes.address, from: "--admin"), token: token)
        }
        if let given = environment("SLUICE_ADMIN"), !given.isEmpty {
            return AdminPlace(address: try address(given, from: "SLUICE_ADMIN"), token: token, source: .environment)
        }
        return try inFile(wishes.configurationFile, token: token)
    }

    private static func address(_ text: String, from source: String) throws(AdminError) -> AdminAddress {
        guard let address = AdminAddress(text) else {
            throw AdminError(
                .usage, "\(source): \"\(text)\" is no address; expected one such as 127.0.0.1:9901, [::1]:9901 or unix:/path")
        }
        return address
    }

    private static func inFile(_ path: String, token: Secret) throws(AdminError) -> AdminPlace {
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
            tokenProblems: problems, pidFile: settings.pidFile)
    }
}

import Configuration
import ConfigurationFile
import Glibc
import Primitives

/// The admin listener to ask, and what to show it.
public struct AdminEndpoint: Sendable {
    public let address: AdminAddress
    /// The bearer token; empty for none.
    public let token: Secret

    public init(address: AdminAddress, token: Secret = Secret()) {
        self.address = address
        self.token = token
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

    /// Finds the endpoint: the address from the command line, SLUICE_ADMIN or the configuration file; the token from the file that
    /// the command line names, SLUICE_ADMIN_TOKEN or the configuration file.
    ///
    /// The file's token goes to the file's address only.
    public static func find(
        _ wishes: Wishes, environment: (String) -> String? = { getenv($0).map { String(cString: $0) } }
    ) throws(AdminError) -> AdminEndpoint {
        var token = Secret()
        if !wishes.tokenFile.isEmpty {
            token = try TokenFile.read(wishes.tokenFile)
        } else if let given = environment("SLUICE_ADMIN_TOKEN"), !given.isEmpty {
            token = try TokenFile.checked(Array(given.utf8), from: "SLUICE_ADMIN_TOKEN")
        }
        if !wishes.address.isEmpty {
            return AdminEndpoint(address: try address(wishes.address, from: "--admin"), token: token)
        }
        if let given = environment("SLUICE_ADMIN"), !given.isEmpty {
            return AdminEndpoint(address: try address(given, from: "SLUICE_ADMIN"), token: token)
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

    private static func inFile(_ path: String, token: Secret) throws(AdminError) -> AdminEndpoint {
        let loaded = ConfigurationLoader.load(path: path)
        guard let admin = loaded.configuration?.admin else {
            throw AdminError(
                .configuration,
                loaded.errors.map { "\($0)" } + [
                    "so the address of the admin listener is not known; name it with --admin or SLUICE_ADMIN"
                ])
        }
        guard admin.enabled else {
            throw AdminError(.configuration, "\(path) switches the admin listener off; without it the daemon cannot be asked")
        }
        guard let address = AdminAddress(of: admin.address) else {
            throw AdminError(
                .configuration,
                "\(path) leaves the port of the admin listener to the system; name the address with --admin or SLUICE_ADMIN")
        }
        return AdminEndpoint(address: address, token: token.isEmpty ? admin.token : token)
    }
}

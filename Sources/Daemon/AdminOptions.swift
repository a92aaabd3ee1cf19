import AdminClient
import ArgumentParser
import Primitives

/// How a command finds the daemon, and in which form it wants the answer.
struct AdminOptions: ParsableArguments {
    @OptionGroup var file: ConfigOption

    @Option(
        name: .customLong("admin"),
        help: ArgumentHelp(
            "The admin listener: 127.0.0.1:9901 or unix:/path. Default: SLUICE_ADMIN, or what the configuration file says.",
            valueName: "address"))
    var address: String?

    @Option(
        help: ArgumentHelp(
            "A file with the token. Default: SLUICE_ADMIN_TOKEN, or what the configuration file says.", valueName: "path"),
        completion: .file())
    var tokenFile: String?

    @Option(
        help: ArgumentHelp(
            "Encrypt, and trust the certificates of this file. Default: where the configuration file's listener has tls, its own certificate.",
            valueName: "path"),
        completion: .file())
    var caFile: String?

    @Option(help: ArgumentHelp("The name that the certificate is for, with --ca-file. Default: the address.", valueName: "name"))
    var serverName: String?

    @Option(
        help: ArgumentHelp("A certificate to show where client_auth asks for one; needs --key-file.", valueName: "path"),
        completion: .file())
    var certFile: String?

    @Option(help: ArgumentHelp("Its private key.", valueName: "path"), completion: .file())
    var keyFile: String?

    @Option(help: ArgumentHelp("How long to wait for the answer.", valueName: "seconds"))
    var timeout: Int = 60

    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        guard (1...3600).contains(timeout) else { throw ValidationError("--timeout must be between 1 and 3600 seconds") }
        if address == "" { throw ValidationError("--admin must not be empty") }
        for (name, value) in [("ca-file", caFile), ("server-name", serverName), ("cert-file", certFile), ("key-file", keyFile)]
        where value == "" { throw ValidationError("--\(name) must not be empty") }
        if tokenFile == "" { throw ValidationError("--token-file must not be empty") }
    }

    var format: AdminCall.Format { json ? .json : .text }

    /// Whom to ask.
    func findPlace() throws(AdminError) -> AdminPlace {
        try AdminPlace.find(
            .init(
                address: address ?? "", tokenFile: tokenFile ?? "", caFile: caFile ?? "", serverName: serverName ?? "",
                certificateFile: certFile ?? "", keyFile: keyFile ?? "", configurationFile: file.config))
    }

    /// The time that the user gives runs from here.
    func connection(to place: AdminPlace) -> AdminConnection {
        AdminConnection(place, timeout: .seconds(UInt64(timeout)))
    }

    /// Asks, and prints what the daemon says.
    ///
    /// - Throws: a `CommandFailure` with the daemon's words when it says no.
    func printAnswer(to call: AdminCall) throws {
        let place = try findPlace()
        try print(try connection(to: place).send(call), of: place)
    }

    /// - Parameter misunderstood: the statuses that say that the question itself was wrong.
    func print(_ reply: AdminReply, of place: AdminPlace, misunderstood: [UInt16] = []) throws {
        if reply.isSuccess { return try Output.print(reply.shown) }
        var failure = CommandFailure()
        if json { try Output.print(reply.shown) } else { failure = CommandFailure(lines: Self.refusal(reply, place)) }
        if misunderstood.contains(reply.status) { failure.status = 2 }
        throw failure
    }

    /// What a person needs to know of an answer that says no.
    static func refusal(_ reply: AdminReply, _ place: AdminPlace) -> [String] {
        if reply.status == 401 {
            return place.tokenProblems + [
                place.token.isEmpty
                    ? "the admin listener at \(place.address.text) asks for a token; name its file with --token-file, "
                        + "or set SLUICE_ADMIN_TOKEN"
                    : "the admin listener at \(place.address.text) does not accept the token"
            ]
        }
        let lines = reply.shown.split(separator: "\n").map(String.init)
        if reply.isText, !lines.isEmpty { return lines }
        let said = lines.joined(separator: " ").prefix(2000)
        return ["\(place.address.text) answers with status \(reply.status)\(said.isEmpty ? "" : ": \(said)")"]
    }
}

/// A page of a list.
struct PageOptions: ParsableArguments {
    @Option(help: ArgumentHelp("At most so many entries.", valueName: "count")) var limit: Int = 1000
    @Option(help: ArgumentHelp("Where the last page ended: its \"next\".", valueName: "cursor")) var cursor: String?

    func validate() throws {
        guard (1...1000).contains(limit) else { throw ValidationError("--limit must be between 1 and 1000") }
    }

    var parameters: [(name: String, value: String)] {
        [(name: "limit", value: "\(limit)")] + (cursor.map { [(name: "cursor", value: $0)] } ?? [])
    }
}

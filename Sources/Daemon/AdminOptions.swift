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

    @Option(help: ArgumentHelp("How long to wait for the answer.", valueName: "seconds"))
    var timeout: Int = 60

    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        guard (1...3600).contains(timeout) else { throw ValidationError("--timeout must be between 1 and 3600 seconds") }
        if address == "" { throw ValidationError("--admin must not be empty") }
        if tokenFile == "" { throw ValidationError("--token-file must not be empty") }
    }

    var format: AdminRequest.Format { json ? .json : .text }

    /// Asks, and prints what the daemon says, as it is.
    ///
    /// - Throws: a `CommandFailure` with the daemon's words when it says no.
    func printAnswer(to request: AdminRequest) throws {
        let endpoint = try AdminEndpoint.find(
            .init(address: address ?? "", tokenFile: tokenFile ?? "", configurationFile: file.config))
        let answer = try AdminConnection(endpoint, timeout: .seconds(UInt64(timeout))).send(request)
        if answer.isSuccess { return try Output.print(answer.body) }
        if json {
            try Output.print(answer.body)
            throw CommandFailure()
        }
        throw CommandFailure(lines: Self.refusal(answer, endpoint))
    }

    /// What a person needs to know of an answer that says no.
    static func refusal(_ answer: AdminAnswer, _ endpoint: AdminEndpoint) -> [String] {
        if answer.status == 401 {
            return [
                endpoint.token.isEmpty
                    ? "the admin listener at \(endpoint.address.text) asks for a token; name its file with --token-file, "
                        + "or set SLUICE_ADMIN_TOKEN"
                    : "the admin listener at \(endpoint.address.text) does not accept the token"
            ]
        }
        let lines = answer.text.split(separator: "\n").map(String.init)
        if answer.isText, !lines.isEmpty { return lines }
        let said = lines.joined(separator: " ").prefix(2000)
        return ["\(endpoint.address.text) answers with status \(answer.status)\(said.isEmpty ? "" : ": \(said)")"]
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

import AdminClient
import ConfigurationFile
import Glibc
import Primitives

/// A reload of a daemon that cannot be asked, because the file already has the token, the address or the certificates that it is to
/// learn.
struct ReloadBySignal {
    let file: String
    let place: AdminPlace
    let admin: AdminOptions

    /// How long the daemon may take at most; it gives up on names after two seconds and on its workers after five.
    private static var secondsMax: Int { 15 }

    private var seconds: Int { min(admin.timeout, Self.secondsMax) }
    private var isJSON: Bool { admin.json }

    /// The daemon does not know the file's token.
    func run(afterRefusal reply: AdminReply) throws {
        guard let process = DaemonProcess.find(pidFile: place.pidFile) else {
            throw CommandFailure(
                lines: AdminOptions.refusal(reply, place) + [advice("token", "has the old one")])
        }
        try run(process, because: "the daemon did not know the token of \(file)")
    }

    /// Nobody listens at the file's address, or does not encrypt as the file says.
    func run(after error: AdminError) throws {
        let isEncryption = error.kind == .encryption
        guard let process = DaemonProcess.find(pidFile: place.pidFile) else {
            let advice = isEncryption ? advice("tls", "has the old one") : advice("address", "listens on the old one")
            throw AdminError(error.kind, error.lines + [advice])
        }
        let reason =
            isEncryption ? "\(place.address.text) did not encrypt as \(file) says" : "nobody listened on \(place.address.text)"
        try run(process, because: reason)
    }

    private func advice(_ key: String, _ state: String) -> String {
        "if admin.\(key) in \(file) is new, the daemon still \(state): use systemctl reload sluice, or kill -HUP its process "
            + "(with server.pid_file in the file, this command does)"
    }

    private func run(_ process: DaemonProcess, because reason: String) throws {
        if let problem = process.hangUp() {
            throw CommandFailure("\(reason), and SIGHUP could not be sent to process \(process.id): \(problem)")
        }
        guard let status = try verdict() else {
            let told =
                "\(reason); process \(process.id) got SIGHUP, but does not go by the file after \(seconds) s; its log says why"
            throw CommandFailure(lines: ConfigurationLoader.load(path: file).errors.map { "\($0)" } + [told])
        }
        let generation = Int(status.member("generation") ?? "") ?? 0
        let note = "\(reason), so it got SIGHUP; its log says what changed"
        guard isJSON else { return try Output.print("\(note)\ngeneration \(generation) serves") }
        let members: [(String, JSONValue)] = [
            ("result", .string("applied")), ("generation", .number(generation)), ("changes", .null),
            ("warnings", .array([.string(note)])),
        ]
        try Output.print(JSONValue.object(members).text)
    }

    /// The daemon's status, once it answers as the file says; nil where it does not in time.
    private func verdict() throws -> AdminReply? {
        let connection = AdminConnection(place, timeout: .seconds(UInt64(seconds)))
        let call = AdminCall(.get, "/status", format: .json)
        while true {
            do {
                let reply = try connection.send(call)
                if reply.isSuccess { return reply }
            } catch {
                switch error.kind {
                case .unreachable, .encryption: break
                // Its time is over.
                case .noAnswer, .usage, .configuration: return nil
                }
            }
            guard !connection.isOver else { return nil }
            _ = poll(nil, 0, 50)
        }
    }
}

import AdminClient
import ArgumentParser

struct ReloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Make the daemon read its configuration again, and say what changed.",
        discussion: """
            Waits for the verdict. When the daemon refuses the file, it goes on with the old one, and the exit code is 1.

            Where the file has a new token, a new admin address or other certificates for it, which the daemon does not know yet, it is told by SIGHUP \
            instead. For that the file must name server.pid_file, or systemd must run the command.
            """)

    @OptionGroup var admin: AdminOptions

    func run() throws {
        let place = try admin.findPlace()
        let connection = admin.connection(to: place)
        let signal = ReloadBySignal(file: admin.file.config, place: place, admin: admin)
        do {
            // Where the daemon was named and no file, there is nothing to compare.
            if place.source == .file || admin.file.given != nil { try checkFile(connection, place) }
            let reply = try connection.send(AdminCall(.post, "/config/reload", format: admin.format))
            if reply.status == 401, place.isOfFile { return try signal.run(afterRefusal: reply) }
            try admin.print(reply, of: place)
        } catch let error as AdminError {
            guard error.kind == .unreachable || error.kind == .encryption, place.source == .file else { throw error }
            try signal.run(after: error)
        }
    }

    /// The file that one has edited should be the one that the daemon reads.
    private func checkFile(_ connection: AdminConnection, _ place: AdminPlace) throws {
        let reply = try connection.send(AdminCall(.get, "/config", format: .json))
        // Other refusals are repeated by the reload itself, in words.
        guard reply.isSuccess, let served = reply.member("file"), !FilePath.isSame(served, admin.file.config) else { return }
        let shown = AdminReply.shown(served)
        let line = "the daemon at \(place.address.text) runs \(shown), not \(FilePath.absolute(admin.file.config))"
        guard place.source == .commandLine else {
            throw CommandFailure("\(line); name the file with -c, or the daemon with --admin")
        }
        Output.error("sluice: warning: \(line)")
    }
}

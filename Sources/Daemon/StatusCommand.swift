import AdminClient
import ArgumentParser

struct StatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Say how the daemon and its services are.")

    @OptionGroup var admin: AdminOptions

    func run() throws { try admin.printAnswer(to: AdminCall(.get, "/status", format: admin.format)) }
}

import AdminClient
import ArgumentParser

struct ServicesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services", abstract: "The services of the daemon.", subcommands: [List.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the services with their instances.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var page: PageOptions

        func run() throws {
            try admin.printAnswer(
                to: AdminCall(.get, "/internal/services", parameters: page.parameters, format: admin.format))
        }
    }
}

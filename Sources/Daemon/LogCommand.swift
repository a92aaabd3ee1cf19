import AdminClient
import ArgumentParser
import Primitives

struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "The log of the daemon.", subcommands: [Level.self])

    struct Level: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "level", abstract: "Print the level of the log, or set it until the next reload or restart.")

        enum Name: String, ExpressibleByArgument, CaseIterable {
            case debug, info, warn, error
        }

        @Argument(help: ArgumentHelp("The new level.", valueName: "level")) var level: Name?
        @OptionGroup var admin: AdminOptions

        func run() throws {
            guard let level else {
                return try admin.printAnswer(to: AdminCall(.get, "/log", format: admin.format))
            }
            try admin.printAnswer(
                to: AdminCall(.put, "/log", format: admin.format).with(.object([("level", .string(level.rawValue))])))
        }
    }
}

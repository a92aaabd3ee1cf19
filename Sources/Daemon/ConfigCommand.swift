import AdminClient
import ArgumentParser
import Configuration
import ConfigurationFile
import Primitives

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "What a configuration says, and may say.", subcommands: [Show.self, Schema.self])

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Print the configuration in effect, with where each value comes from (-T).",
            discussion: "Without --running it is that of the file, and no daemon is asked. Secrets are not shown.")

        @Flag(help: "The configuration of the running daemon.") var running = false
        @OptionGroup var admin: AdminOptions

        func run() throws {
            if running { return try admin.printAnswer(to: AdminCall(.get, "/config", format: admin.format)) }
            let loaded = ConfigurationLoader.load(path: admin.file.config)
            guard loaded.configuration != nil, let origin = loaded.origin else {
                throw CommandFailure(lines: loaded.errors.map { "\($0)" })
            }
            let effective = ConfigurationLoader.effective(origin)
            try Output.print(admin.json ? effective.json().pretty() : effective.yaml())
        }
    }

    struct Schema: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "schema", abstract: "Print the JSON Schema of the configuration, for editors.")

        @Flag(help: "It is JSON in any case.") var json = false

        func run() throws { try Output.print(JSONSchema.text) }
    }
}

import ArgumentParser
import Configuration
import ConfigurationFile
import Control
import Glibc

/// The command line. Exit codes: 0, 1 for "no", 2 for a command that cannot be understood.
public struct SluiceCommand: ParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "sluice", abstract: "An API gateway: takes HTTP requests in and passes them on to your services.",
        version: Version.line, subcommands: [Run.self, Check.self, ConfigCommand.self, VersionCommand.self])

    public init() {}

    /// Parses the process's arguments, does what they say, and ends the process.
    public static func runAndExit() -> Never {
        do {
            var command = try parseAsRoot(arguments())
            try command.run()
            Glibc.exit(0)
        } catch let failure as CommandFailure {
            for line in failure.lines { writeError("sluice: \(line)") }
            Glibc.exit(1)
        } catch {
            let text = fullMessage(for: error)
            if exitCode(for: error) == .success {
                print(text)
                Glibc.exit(0)
            }
            writeError(text)
            Glibc.exit(2)
        }
    }
}

extension SluiceCommand {
    /// The process's arguments, with the two short forms of other servers in full: `-t` is `check`, `-v` is `version`.
    static func arguments() -> [String] {
        var given = Array(CommandLine.arguments.dropFirst())
        switch given.first {
        case "-t": given[0] = "check"
        case "-v": given[0] = "version"
        default: break
        }
        return given
    }
}

/// A "no", with the lines for standard error.
struct CommandFailure: Error {
    let lines: [String]
}

func writeError(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(2, bytes, bytes.count)
}

struct ConfigOption: ParsableArguments {
    @Option(name: [.short, .long], help: "The configuration file.")
    var config = "/etc/sluice/sluice.yaml"
}

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serve, in the foreground, until SIGTERM.")

    @OptionGroup var file: ConfigOption

    func run() throws {
        let loaded = ConfigurationLoader.load(path: file.config)
        guard loaded.configuration != nil else { throw CommandFailure(lines: loaded.errors.map { "\($0)" }) }
        do {
            try ControlThread(path: file.config, loaded: loaded, version: Version.number).run()
        } catch {
            throw CommandFailure(lines: [error.description])
        }
    }
}

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Read the configuration and say what is wrong with it (-t).")

    @OptionGroup var file: ConfigOption

    func run() throws {
        let loaded = ConfigurationLoader.load(path: file.config)
        for warning in loaded.warnings { writeError("\(warning)") }
        var errors = loaded.errors
        if let configuration = loaded.configuration { errors += ConfigurationCheck.run(configuration, loaded.places) }
        guard errors.isEmpty else { throw CommandFailure(lines: errors.map { "\($0)" }) }
        print("\(file.config): ok")
    }
}

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "What a configuration may say.", subcommands: [SchemaCommand.self])
}

struct SchemaCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schema", abstract: "Print the JSON Schema of the configuration, for editors.")

    func run() { print(JSONSchema.text, terminator: "") }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version (-v).")

    func run() { print(Version.line) }
}

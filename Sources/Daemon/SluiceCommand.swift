import ArgumentParser
import Primitives

/// The command line as a whole.
struct SluiceCommand: ParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: programName(CommandLine.arguments.first ?? ""),
            abstract: "An API gateway: takes HTTP requests in and passes them on to your services.",
            discussion: """
                Commands that ask a running daemon find it by the configuration file (-c), or by --admin or SLUICE_ADMIN. A token is \
                read from the configuration, from --token-file or from SLUICE_ADMIN_TOKEN.

                Short forms: -t check, -T config show, -v version, -V version --details.
                Exit codes: 0 yes, 1 no, 2 the command cannot be understood.
                """,
            version: Version.line,
            subcommands: [
                RunCommand.self, CheckCommand.self, ReloadCommand.self, StatusCommand.self, RoutesCommand.self,
                ServicesCommand.self, BreakerCommand.self, InstanceCommand.self, ConfigCommand.self, LogCommand.self,
                CompletionCommand.self, VersionCommand.self,
            ])
    }

    /// The file name of the program, for the usage and the shell's completion; `sluice` where it is none that a shell could read.
    static func programName(_ path: String) -> String {
        let name = path.utf8.split(separator: UInt8(ascii: "/")).last.map { String(decoding: Array($0), as: UTF8.self) } ?? ""
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        return isPlain && !name.isEmpty && name.utf8.count <= 64 && !name.hasPrefix("-") ? name : "sluice"
    }
}

struct ConfigOption: ParsableArguments {
    @Option(
        name: [.customShort("c"), .customLong("config")],
        help: ArgumentHelp("The configuration file. (default: \(ConfigOption.usual))", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var given: String?

    static var usual: String { "/etc/sluice/sluice.yaml" }

    var config: String { given ?? ConfigOption.usual }
}

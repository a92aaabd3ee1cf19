import ArgumentParser
import Primitives

/// What this build is called.
enum Version {
    static var number: String { "0.1.0" }
    static var line: String { "sluice \(number)" }

    /// The compiler, as far as the source can tell.
    static var swift: String {
        #if compiler(>=6.4)
            "6.4 or later"
        #elseif compiler(>=6.3)
            "6.3"
        #else
            "6.2"
        #endif
    }

    static var architecture: String {
        #if arch(x86_64)
            "x86_64"
        #elseif arch(arm64)
            "aarch64"
        #else
            "other"
        #endif
    }

    static var build: String {
        #if DEBUG
            "debug"
        #else
            "release"
        #endif
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the version (-v; -V with details).")

    @Flag(help: "Print how it was built as well.") var details = false
    @Flag(help: "Print all of it as JSON.") var json = false

    func run() throws {
        if json {
            let members: [(String, JSONValue)] = [
                ("name", .string("sluice")), ("version", .string(Version.number)), ("swift", .string(Version.swift)),
                ("architecture", .string(Version.architecture)), ("build", .string(Version.build)),
            ]
            return try Output.print(JSONValue.object(members).text)
        }
        try Output.print(Version.line)
        guard details else { return }
        try Output.print("Swift \(Version.swift), \(Version.architecture), \(Version.build) build")
    }
}

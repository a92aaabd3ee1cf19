import Admin
import ArgumentParser
import Configuration
import ConfigurationFile
import Control
import Pipeline

struct CheckCommand: ServingCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Read the configuration and say what is wrong with it (-t).",
        discussion: "Opens no port and asks no daemon. Warnings leave the exit code at 0.")

    @OptionGroup var file: ConfigOption
    @Flag(help: "Print JSON.") var json = false

    func run(with middlewares: [MiddlewareType]) throws {
        let loaded = ConfigurationLoader.load(path: file.config)
        var problems = loaded.diagnostics
        if let configuration = loaded.configuration {
            problems += ConfigurationCheck.run(configuration, loaded.places, middlewares: middlewares)
        }
        let isValid = !problems.contains { $0.severity == .error }
        if json {
            try Output.print(ProblemReport.make(problems).json.pretty())
            if !isValid { throw CommandFailure() }
            return
        }
        for problem in problems where problem.severity == .warning { Output.error("\(problem)") }
        guard isValid else { throw CommandFailure(lines: problems.filter { $0.severity == .error }.map { "\($0)" }) }
        try Output.print("\(file.config): ok")
    }
}

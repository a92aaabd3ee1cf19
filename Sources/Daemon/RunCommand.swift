import ArgumentParser
import Configuration
import ConfigurationFile
import Control
import Pipeline
import Reactor

struct RunCommand: ServingCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Serve, in the foreground, until SIGTERM.")

    @OptionGroup var file: ConfigOption

    func run(with middlewares: [MiddlewareType]) throws {
        holdSignals()
        // As the daemon's answers name it, wherever they are read.
        let path = FilePath.absolute(file.config)
        let loaded = ConfigurationLoader.load(path: path)
        guard loaded.configuration != nil else { throw CommandFailure(lines: loaded.errors.map { "\($0)" }) }
        do {
            try ControlThread(path: path, loaded: loaded, version: Version.number, middlewares: middlewares).run()
        } catch {
            throw CommandFailure(lines: [error.description])
        }
    }
}

import AdminClient
import ArgumentParser
import Glibc
import Pipeline

/// One run of the command line. Exit codes: 0, 1 for "no", 2 for a command that cannot be understood.
struct CommandLineRun {
    let middlewares: [MiddlewareType]

    func runAndExit() -> Never {
        StandardStreams.open()
        signal(SIGPIPE, SIG_IGN)
        exit(status())
    }

    private func status() -> Int32 {
        do {
            try checkMiddlewares()
            var command = try SluiceCommand.parseAsRoot(Self.arguments(Array(CommandLine.arguments.dropFirst())))
            if let serving = command as? any ServingCommand {
                try serving.run(with: middlewares)
            } else {
                try command.run()
            }
            return 0
        } catch is OutputClosed {
            // Whoever read it has seen enough.
            return 0
        } catch let failure as CommandFailure {
            for line in failure.lines { Output.error("sluice: \(line)") }
            return failure.status
        } catch let error as AdminError {
            for line in error.lines { Output.error("sluice: \(line)") }
            return error.kind == .usage ? 2 : 1
        } catch {
            TerminalWidth.bound()
            return SluiceCommand.exitCode(for: error) == .success ? help(error) : usage(error)
        }
    }

    /// `--help` and `--version` come as errors that are none.
    private func help(_ error: any Error) -> Int32 {
        do {
            try Output.print(SluiceCommand.fullMessage(for: error))
        } catch let failure as CommandFailure {
            for line in failure.lines { Output.error("sluice: \(line)") }
            return failure.status
        } catch {
            return 0
        }
        return 0
    }

    private func usage(_ error: any Error) -> Int32 {
        Output.error(SluiceCommand.fullMessage(for: error))
        return 2
    }

    /// What the configuration names must be one thing.
    private func checkMiddlewares() throws(CommandFailure) {
        var names: Set<String> = []
        for type in middlewares where !names.insert(type.name).inserted {
            throw CommandFailure("two middleware types of this build are called \(type.name)")
        }
    }

    /// The short forms of other servers in full: `-t` is `check`, `-T` is `config show`, `-v` and `-V` are `version`. They may stand
    /// behind other options, but not behind a command.
    static func arguments(_ given: [String]) -> [String] {
        guard let first = given.first, first.hasPrefix("-") else { return given }
        // As with nginx, -T is -t and more.
        let given = given.contains("-T") ? given.filter { $0 != "-t" } : given
        for (index, argument) in given.enumerated() {
            let command: [String]
            switch argument {
            case "-t", "--check-config": command = ["check"]
            case "-T": command = ["config", "show"]
            case "-v": command = ["version"]
            case "-V": command = ["version", "--details"]
            default: continue
            }
            return command + given[..<index] + given[(index + 1)...]
        }
        return given
    }
}

/// A command that makes a gateway, or would, and so needs to know the middlewares of this build.
protocol ServingCommand: ParsableCommand {
    func run(with middlewares: [MiddlewareType]) throws
}

/// A "no", with the lines for standard error.
struct CommandFailure: Error {
    let lines: [String]
    var status: Int32 = 1

    init(_ line: String) { lines = [line] }
    init(lines: [String]) { self.lines = lines }
    /// The answer is no, and standard output has said so.
    init() { lines = [] }
}

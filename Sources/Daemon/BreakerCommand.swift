import AdminClient
import ArgumentParser

struct BreakerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "breaker", abstract: "The circuit breakers of the daemon.",
        subcommands: [List.self, Trip.self, Reset.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the circuit breakers of services and routes with their states.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var page: PageOptions

        func run() throws {
            try admin.printAnswer(to: AdminCall(.get, "/breakers", parameters: page.parameters, format: admin.format))
        }
    }

    /// Which breaker.
    struct Target: ParsableArguments {
        @Argument(help: ArgumentHelp("The service.", valueName: "service")) var service: String
        @Option(help: ArgumentHelp("The breaker of this route, in the place of the service's.", valueName: "name"))
        var route: String?

        func validate() throws {
            if service.isEmpty { throw ValidationError("the service must not be empty") }
        }

        func call(_ verb: String, _ admin: AdminOptions) -> AdminCall {
            AdminCall(
                .post, AdminCall.path("breakers", service, verb), parameters: route.map { [(name: "route", value: $0)] } ?? [],
                format: admin.format)
        }
    }

    struct Trip: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "trip", abstract: "Open a circuit breaker: the service gets no requests.",
            discussion: "It stays open for its open_timeout, and is then tested like any other that opened.")

        @OptionGroup var target: Target
        @OptionGroup var admin: AdminOptions

        func run() throws { try admin.printAnswer(to: target.call("trip", admin)) }
    }

    struct Reset: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "reset", abstract: "Close a circuit breaker and forget what it counted.")

        @OptionGroup var target: Target
        @OptionGroup var admin: AdminOptions

        func run() throws { try admin.printAnswer(to: target.call("reset", admin)) }
    }
}

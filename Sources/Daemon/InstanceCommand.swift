import AdminClient
import ArgumentParser
import Glibc
import Primitives
import Reactor

struct InstanceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "instance", abstract: "Single instances of a service.", subcommands: [Drain.self, Undrain.self])

    /// Which instance.
    struct Target: ParsableArguments {
        @Argument(help: ArgumentHelp("The service.", valueName: "service")) var service: String
        @Argument(
            help: ArgumentHelp("The instance, as services list shows it: 10.0.0.5:8080 or unix:/path.", valueName: "id"))
        var id: String

        func validate() throws {
            if service.isEmpty || id.isEmpty { throw ValidationError("service and id must not be empty") }
        }

        func call(_ verb: String, _ admin: AdminOptions) -> AdminCall {
            AdminCall(.post, AdminCall.path("services", service, "instances", id, verb), format: admin.format)
        }

        /// How it is.
        var question: AdminCall { AdminCall(.get, AdminCall.path("services", service, "instances", id), format: .json) }
    }

    struct Drain: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "drain", abstract: "Send no new requests to an instance; those that it has go on.",
            discussion: "It stays so over reloads, until undrain, a restart or an upgrade.")

        @OptionGroup var target: Target
        @Flag(help: "Wait until it has no request any more, for --timeout at most; 1 if it still has then.") var wait = false
        @OptionGroup var admin: AdminOptions

        /// Microseconds between two looks.
        private static var pause: UInt32 { 100_000 }

        func run() throws {
            let place = try admin.findPlace()
            let end = Clock.monotonic + .seconds(UInt64(admin.timeout))
            let reply = try admin.connection(to: place).send(target.call("drain", admin))
            try admin.print(reply, of: place)
            while wait, reply.isSuccess {
                let now = try admin.connection(to: place).send(target.question)
                guard now.isSuccess else { return try admin.print(now, of: place) }
                guard let left = now.member("in_flight"), left != "0" else { return }
                guard Clock.monotonic < end else {
                    throw CommandFailure("\(target.id) still has requests after \(admin.timeout) s: \(left)")
                }
                usleep(Self.pause)
            }
        }
    }

    struct Undrain: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "undrain", abstract: "Let an instance have requests again.")

        @OptionGroup var target: Target
        @OptionGroup var admin: AdminOptions

        func run() throws { try admin.printAnswer(to: target.call("undrain", admin)) }
    }
}

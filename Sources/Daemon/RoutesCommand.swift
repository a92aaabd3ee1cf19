import AdminClient
import ArgumentParser
import Primitives

struct RoutesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes", abstract: "The routes of the daemon.", subcommands: [List.self, Explain.self])

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List the routes, in the order of the file.")

        @OptionGroup var admin: AdminOptions
        @OptionGroup var page: PageOptions

        func run() throws {
            try admin.printAnswer(to: AdminCall(.get, "/routes", parameters: page.parameters, format: admin.format))
        }
    }

    struct Explain: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "explain", abstract: "Say which route takes a request, and why the others do not.",
            discussion: "Nothing is sent to any backend. A path alone is asked for at the host localhost.")

        @Argument(help: "The method: GET, POST, …") var method: String
        @Argument(help: ArgumentHelp("The URL, or its path: http://api.example.com/users?id=1", valueName: "url"))
        var target: String
        @Option(
            name: [.customShort("H"), .customLong("header")], parsing: .unconditionalSingleValue,
            help: ArgumentHelp("A field of the request; may be given more than once.", valueName: "'name: value'"))
        var headers: [String] = []
        @Option(help: ArgumentHelp("The client's address. Default: 127.0.0.1.", valueName: "ip")) var client: String?
        @Option(help: ArgumentHelp("The listener that it comes in by. Default: the first.", valueName: "name"))
        var listener: String?
        @OptionGroup var admin: AdminOptions

        func validate() throws {
            if let client, IPAddress(client) == nil { throw ValidationError("--client: \"\(client)\" is no IP address") }
            for header in headers where Self.field(header) == nil {
                throw ValidationError("-H: expected 'Name: value', not \"\(header)\"")
            }
        }

        func run() throws {
            var members: [(String, JSONValue)] = [("method", .string(method)), ("url", .string(target))]
            var headers = headers
            let lacksHost = (target.hasPrefix("/") || target == "*") && !headers.contains { Self.isHost($0) }
            if lacksHost { headers.append("Host: localhost") }
            if !headers.isEmpty { members.append(("headers", .object(Self.grouped(headers)))) }
            if let client { members.append(("client", .string(client))) }
            if let listener { members.append(("listener", .string(listener))) }
            let place = try admin.findPlace()
            let call = AdminCall(.post, "/explain", format: admin.format).with(.object(members))
            let reply = try admin.connection(to: place).send(call)
            if lacksHost, reply.isSuccess, !admin.json {
                try Output.print("No host was given, so localhost is taken; http://HOST/PATH or -H 'Host: …' says another.")
            }
            // What it refuses is the description of the request.
            try admin.print(reply, of: place, misunderstood: [400, 413, 422])
        }

        private static func isHost(_ header: String) -> Bool { field(header)?.name.lowercased() == "host" }

        /// Name and value, without the space around the value.
        static func field(_ header: String) -> (name: String, value: String)? {
            guard let colon = header.firstIndex(of: ":"), colon != header.startIndex else { return nil }
            let value = header[header.index(after: colon)...]
            func isSpace(_ character: Character) -> Bool { character == " " || character == "\t" }
            let trimmed = String(value.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
            return (String(header[..<colon]), trimmed)
        }

        /// One member for each name, whatever its case, with all of its values.
        static func grouped(_ headers: [String]) -> [(String, JSONValue)] {
            var names: [String] = []
            var values: [String: [String]] = [:]
            for case let field? in headers.map(field) {
                let key = field.name.lowercased()
                if values[key] == nil { names.append(field.name) }
                values[key, default: []].append(field.value)
            }
            return names.map { name in
                let all = (values[name.lowercased()] ?? []).map { JSONValue.string($0) }
                return (name, all.count == 1 ? all[0] : .array(all))
            }
        }
    }
}

import Configuration
import Primitives
import Proxy

/// The routes of a configuration, in the order of the file.
public enum RoutesReport {
    /// One page of the list.
    public static func make(_ snapshot: GatewaySnapshot, _ page: ListPage = ListPage()) throws(ListPageError) -> Report {
        let configuration = snapshot.configuration
        let routes = configuration.routes
        let range = try page.range(in: routes.map(\.name))
        let (first, end) = (range.lowerBound, range.upperBound)
        let next = end < routes.count && end > first ? routes[end - 1].name : nil
        var table = TextTable(["NAME", "HOST", "PATH", "METHODS", "IF", "ACTION", "MIDDLEWARES"])
        for route in routes[first..<end] { table.add(cells(route, configuration)) }
        let json = JSONValue.object([
            ("data", .array(routes[first..<end].map { value($0, configuration) })),
            ("next", next.map { .string($0) } ?? .null), ("total", .number(routes.count)),
        ])
        var text = table.text
        if let next { text += "\(end - first) of \(routes.count) routes; the next ones: cursor \(next)\n" }
        return Report(json: json, text: text)
    }

    private static func value(_ route: RouteConfiguration, _ configuration: GatewayConfiguration) -> JSONValue {
        .object([
            ("name", .string(route.name)), ("hosts", .array(route.match.hosts.map { .string($0) })),
            ("path", .string(route.match.path)), ("methods", .array(route.match.methods.map { .string($0) })),
            ("headers", conditions(route.match.headers)), ("query", conditions(route.match.query)),
            ("action", .string(actionName(route))),
            ("service", serviceName(route, configuration).map { .string($0) } ?? .null),
            ("middlewares", .array(middlewareNames(route, configuration).map { .string($0) })),
        ])
    }

    /// `{"x-tenant": ["a", "b"], "x-debug": {"present": false}}`, as the file writes it.
    private static func conditions(_ conditions: [ValueCondition]) -> JSONValue {
        .object(
            conditions.map { condition in
                switch condition.test {
                case .present: (condition.name, .object([("present", .bool(true))]))
                case .absent: (condition.name, .object([("present", .bool(false))]))
                case .anyOf(let values):
                    (condition.name, .array(values.map { .string(MaskedValue.of($0, named: condition.name)) }))
                }
            })
    }

    private static func cells(_ route: RouteConfiguration, _ configuration: GatewayConfiguration) -> [String] {
        let conditions =
            route.match.headers.map { conditionText("header", $0) } + route.match.query.map { conditionText("query", $0) }
        var action = actionName(route)
        if let service = serviceName(route, configuration) { action += " \(service)" }
        return [
            route.name, route.match.hosts.isEmpty ? "*" : route.match.hosts.joined(separator: ","), route.match.path,
            route.match.methods.isEmpty ? "*" : route.match.methods.joined(separator: ","),
            conditions.joined(separator: ", "), action, middlewareNames(route, configuration).joined(separator: ","),
        ]
    }

    private static func conditionText(_ kind: String, _ condition: ValueCondition) -> String {
        switch condition.test {
        case .present: return "\(kind) \(condition.name)"
        case .absent: return "no \(kind) \(condition.name)"
        case .anyOf(let values):
            return "\(kind) \(condition.name)=" + values.map { MaskedValue.of($0, named: condition.name) }.joined(separator: "|")
        }
    }

    /// What the route does with a request: the key of the file, or `maintenance`.
    static func actionName(_ route: RouteConfiguration) -> String {
        if case .on = route.maintenance { return "maintenance" }
        return switch route.action {
        case .service: "service"
        case .redirect: "redirect"
        case .respond: "respond"
        case .health: "health"
        case .ready: "ready"
        case .metrics: "metrics"
        }
    }

    static func serviceName(_ route: RouteConfiguration, _ configuration: GatewayConfiguration) -> String? {
        guard case .service(let index) = route.action, configuration.services.indices.contains(index) else { return nil }
        return configuration.services[index].name
    }

    static func middlewareNames(_ route: RouteConfiguration, _ configuration: GatewayConfiguration) -> [String] {
        route.middlewares.filter(configuration.middlewares.indices.contains).map { configuration.middlewares[$0].name }
    }
}

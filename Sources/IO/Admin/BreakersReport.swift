import Primitives
import Proxy
import Upstream

/// The circuit breakers of a configuration, and what an administrator did to them.
public enum BreakersReport {
    /// `GET /breakers`: a page of those that are switched on.
    public static func list(
        _ snapshot: GatewaySnapshot, _ page: ListPage = ListPage(), at moment: ReportMoment
    ) throws(ListPageError) -> Report {
        let breakers = snapshot.breakers
        let range = try page.range(in: breakers.map(BreakerView.listName))
        let next = range.upperBound < breakers.count ? range.last.map { BreakerView.listName(breakers[$0]) } : nil
        let views = breakers[range].map { BreakerView($0, at: moment) }
        let json = JSONValue.object([
            ("data", .array(views.map(\.json))), ("next", next.map { .string($0) } ?? .null), ("total", .number(breakers.count)),
        ])
        var text = table(views)
        if let next { text += "\(range.count) of \(breakers.count) breakers; the next ones: cursor \(next)\n" }
        return Report(json: json, text: text)
    }

    /// `GET /breakers/{service}`: the service's own, `off` where there is none, with those of its routes.
    /// - Returns: nil when there is no such service.
    public static func one(_ service: String, _ snapshot: GatewaySnapshot, at moment: ReportMoment) -> Report? {
        guard snapshot.services.contains(where: { $0.name == service }) else { return nil }
        let views = snapshot.breakers.filter { $0.service == service }.map { BreakerView($0, at: moment) }
        let routes = JSONValue.array(views.filter { $0.route != nil }.map(\.json))
        var json = JSONValue.object([("service", .string(service)), ("state", .string("off")), ("routes", routes)])
        if let own = views.first(where: { $0.route == nil }), case .object(let members) = own.json {
            json = .object(members + [("routes", routes)])
        }
        return Report(json: json, text: views.isEmpty ? "\(TerminalText.of(service)): off\n" : table(views))
    }

    /// `GET /breakers/{service}?route=…`.
    public static func one(_ breaker: NamedBreaker, at moment: ReportMoment) -> Report {
        let view = BreakerView(breaker, at: moment)
        return Report(json: view.json, text: table([view]))
    }

    /// `POST /breakers/{service}/trip` or `/reset`.
    public static func changed(_ breaker: NamedBreaker, from before: String, at moment: ReportMoment) -> Report {
        let view = BreakerView(breaker, at: moment)
        guard case .object(let members) = view.json else { return Report(json: view.json, text: "") }
        let name = breaker.route.map { "\(breaker.service), route \($0)" } ?? breaker.service
        return Report(
            json: .object(members + [("from", .string(before))]), text: Report.lines(["\(name): \(view.word); was \(before)"]))
    }

    private static func table(_ views: [BreakerView]) -> String {
        var table = TextTable(["SERVICE", "ROUTE", "STATE", "SINCE", "REASON"])
        for view in views {
            table.add([view.service, view.route ?? "-", view.word, view.since?.text ?? "-", view.reason ?? "-"])
        }
        return table.text
    }
}

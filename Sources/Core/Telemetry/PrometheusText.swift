import HTTPMessages
import Primitives

/// Writes all metrics in the text format that Prometheus scrapes (version 0.0.4), or as OpenMetrics 1.0.
///
/// Label values come from the configuration and from enums, never from a request, so that the page has a bounded length.
public enum PrometheusText {
    /// The value of every label of the series that takes what went over a limit.
    static var overflow: String { "__overflow__" }

    public static func contentType(openMetrics: Bool) -> StaticString {
        openMetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8" : "text/plain; version=0.0.4; charset=utf-8"
    }

    /// Whether a field value of `Accept` names OpenMetrics. Scrapers name it only when they want it.
    public static func wantsOpenMetrics(accept: RawSpan) -> Bool {
        let name: StaticString = "application/openmetrics-text"
        let n = name.utf8CodeUnitCount
        guard accept.byteCount >= n else { return false }
        for i in 0...(accept.byteCount - n) where accept.extracting(i..<i + n).equals(ignoringCase: name) { return true }
        return false
    }

    /// Sums up and appends the whole page.
    public static func render(_ store: inout MetricsStore, at now: Instant, openMetrics: Bool, into buffer: inout ByteBuffer) {
        let total = store.sum(at: now)
        var page = PrometheusPage(openMetrics: openMetrics)
        page.requests(total, store.registry)
        page.upstream(total, store.registry)
        page.services(total, store)
        page.clients(total, store.registry)
        page.sessions(total, store)
        page.itself(total, store)
        buffer.append(page.out.bytes)
        if openMetrics { buffer.append("# EOF\n") }
    }
}

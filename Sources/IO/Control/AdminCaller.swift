import Admin
import HTTPMessages
import Pipeline
import Primitives
import Proxy

/// Who waits for an answer of the admin API, and in which form.
struct AdminCaller: Sendable {
    private let sink: any ResumptionSink
    private let point: SuspensionPoint
    private let requestID: String
    let wantsText: Bool

    init(_ request: AdminRequest, sink: any ResumptionSink, point: SuspensionPoint) {
        self.sink = sink
        self.point = point
        requestID = request.requestID
        wantsText = Self.prefersText(request.accept)
    }

    /// Whether `text/plain` stands in `Accept` and no JSON before it; a client that does not say gets JSON.
    private static func prefersText(_ accept: String) -> Bool {
        for range in accept.split(separator: ",") {
            let type = range.split(separator: ";").first.map { $0.filter { $0 != " " }.lowercased() } ?? ""
            if type == "text/plain" { return true }
            if type == "application/json" || type == "*/*" { return false }
        }
        return false
    }

    func answer(_ report: Report, fields: [(name: String, value: String)] = []) {
        send(200, wantsText ? report.text : report.json.text + "\n", fields)
    }

    /// Without a body.
    func answer(_ status: UInt16, fields: [(name: String, value: String)]) {
        sink.resume(point, with: .answer(Answer(status: status, fields: fields)))
    }

    /// An error in the gateway's format, with `details` where there are any.
    func refuse(
        _ status: UInt16, _ code: String, _ message: String, _ reason: String, details: Report? = nil,
        fields: [(name: String, value: String)] = []
    ) {
        if wantsText {
            return send(status, details?.text ?? Report.lines([message]), fields)
        }
        let body = JSONValue.object([
            (
                "error",
                .object([
                    ("code", .string(code)), ("message", .string(message)),
                    ("details", details?.json ?? .object([("reason", .string(reason))])),
                ])
            ),
            ("request_id", .string(requestID)),
        ])
        send(status, body.text + "\n", fields)
    }

    private func send(_ status: UInt16, _ text: String, _ fields: [(name: String, value: String)]) {
        let all = [(name: "Cache-Control", value: "no-store"), (name: "X-Content-Type-Options", value: "nosniff")] + fields
        sink.resume(
            point,
            with: .answer(
                Answer(
                    status: status, fields: all, body: Array(text.utf8),
                    contentType: wantsText ? "text/plain; charset=utf-8" : "application/json; charset=utf-8")))
    }
}

extension AdminCaller {
    /// The same, once the workers have been heard.
    func waiting(for question: AdminQuestion) -> Scrape.Waiting {
        Scrape.Waiting(sink: sink, point: point, purpose: .admin(question, self))
    }
}

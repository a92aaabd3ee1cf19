import HTTPMessages
import Pipeline
import Primitives

/// What the gateway itself answers with, and which step says so.
struct ExplainedAnswer {
    var status: Int
    /// Nil where it is no error.
    var code: String?
    var reason: String
    var message: String?
    var step: String
    /// What exactly was wrong.
    var detail: String?
    /// The methods of a 405.
    var allow: String?

    init(status: Int, code: String?, reason: String, message: String?, step: String) {
        self.status = status
        self.code = code
        self.reason = reason
        self.message = message
        self.step = step
    }

    init(_ refusal: Refusal, step: String, detail: String) {
        self.init(
            status: Int(refusal.status), code: "\(refusal.code.name)", reason: "\(refusal.reason.name)",
            message: "\(refusal.message)", step: step)
        self.detail = detail.isEmpty ? nil : detail
    }

    init(_ answer: Answer, reason: Reason, step: String) {
        var code: String?
        var message: String?
        if case .error(let errorCode, let text) = answer.content { (code, message) = (errorCode, text) }
        self.init(status: Int(answer.status), code: code, reason: "\(reason.name)", message: message, step: step)
    }

    var json: JSONValue {
        var members: [(String, JSONValue)] = [
            ("status", .number(status)), ("code", code.map { .string($0) } ?? .null), ("reason", .string(reason)),
            ("message", message.map { .string($0) } ?? .null), ("step", .string(step)),
        ]
        if let detail { members.append(("detail", .string(detail))) }
        if let allow { members.append(("allow", .string(allow))) }
        return .object(members)
    }

    /// `404 NOT_FOUND (no_route) at route: Nothing is served at this address.`
    var text: String {
        var text = "\(status)"
        if let code { text += " \(code)" }
        text += " (\(reason)) at \(step)"
        if let message { text += ": \(message)" }
        if let detail { text += " (\(detail))" }
        if let allow, !allow.isEmpty { text += " Allowed: \(allow)." }
        return text
    }
}

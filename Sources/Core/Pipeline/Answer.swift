import HTTPMessages
import Primitives

/// A response that a stage makes instead of letting the request go on. A heap value, only made off the hot path.
public struct Answer: Sendable {
    public enum Content: Sendable {
        case none
        case bytes([UInt8], contentType: String)
        /// Written by the gateway in its error format, with the request id, or as RFC 9457 where the client prefers that.
        case error(code: String, message: String)
    }

    public var status: UInt16
    public var fields: [(name: String, value: String)]
    public var content: Content
    /// What the log gives as the reason, such as `body_too_large`.
    public var reason: String

    public init(
        status: UInt16, fields: [(name: String, value: String)] = [], content: Content = .none, reason: String = "middleware"
    ) {
        self.status = status
        self.fields = fields
        self.content = content
        self.reason = reason
    }

    /// A body of any kind.
    public init(status: UInt16, fields: [(name: String, value: String)] = [], body: [UInt8], contentType: String) {
        self.init(status: status, fields: fields, content: .bytes(body, contentType: contentType))
    }

    /// An error in the gateway's format: `code` is a constant such as `AUTH_ERROR`, `message` is for people.
    public static func error(
        status: UInt16, code: String, message: String, reason: String, fields: [(name: String, value: String)] = []
    ) -> Answer {
        Answer(status: status, fields: fields, content: .error(code: code, message: message), reason: reason)
    }

    /// A body of plain text.
    public static func text(_ body: String, status: UInt16 = 200, fields: [(name: String, value: String)] = []) -> Answer {
        Answer(status: status, fields: fields, body: Array(body.utf8), contentType: "text/plain; charset=utf-8")
    }

    /// A body of JSON, in one line.
    public static func json(_ body: JSONValue, status: UInt16 = 200, fields: [(name: String, value: String)] = []) -> Answer {
        Answer(
            status: status, fields: fields, body: Array((body.text + "\n").utf8), contentType: "application/json; charset=utf-8")
    }

    /// Makes `head` the head of this answer: status and the fields of `fields` and `content`.
    ///
    /// Fields that are no fields, and those that the gateway writes itself (framing, `Connection`, `Date`, …), are left out.
    public func fill(_ head: inout ResponseHead) {
        head.clear()
        head.status = status
        for field in fields { head.headers.add(field.name, field.value) }
        if case .bytes(_, let contentType) = content {
            head.headers.set("Content-Type", contentType)
        }
    }
}

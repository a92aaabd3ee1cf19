import HTTPMessages
import Pipeline
import Primitives

/// A request to the admin API, whole, as it goes to the thread that answers it.
public struct AdminRequest: Sendable {
    public var method: String
    /// Canonical.
    public var path: String
    /// Behind the question mark, as sent; empty without one.
    public var query: String
    public var body: [UInt8]
    /// The fields that the API looks at; empty where they were not sent.
    public var accept: String
    public var contentType: String
    public var ifNoneMatch: String
    public var requestID: String
    /// It has something that a form of a web page cannot send without being asked for leave first: a media type that is not a form's,
    /// `Authorization`, or `X-Sluice-Admin`.
    public var isDeliberate: Bool

    public init(
        method: String, path: String, query: String = "", body: [UInt8] = [], accept: String = "", contentType: String = "",
        ifNoneMatch: String = "", requestID: String = "", isDeliberate: Bool = true
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.body = body
        self.accept = accept
        self.contentType = contentType
        self.ifNoneMatch = ifNoneMatch
        self.requestID = requestID
        self.isDeliberate = isDeliberate
    }

    init(_ head: borrowing RequestHead, requestID: RawSpan, body: [UInt8]) {
        method = Self.text(head.bytes(head.methodRange))
        path = Self.text(head.bytes(head.path))
        query = head.query.map { Self.text(head.bytes($0)) } ?? ""
        self.body = body
        accept = Self.field("accept", head.headers)
        contentType = Self.field("content-type", head.headers)
        ifNoneMatch = Self.field("if-none-match", head.headers)
        self.requestID = Self.text(requestID)
        isDeliberate = Self.isDeliberate(head)
    }

    static func isDeliberate(_ head: borrowing RequestHead) -> Bool {
        let type = field("content-type", head.headers).prefix { $0 != ";" && $0 != " " }.lowercased()
        return type == "application/json" || type == "application/yaml" || head.headers.firstIndex(of: .authorization) != nil
            || !field("x-sluice-admin", head.headers).isEmpty
    }

    /// For a request that could be somebody else's doing.
    public static var notDeliberate: Answer {
        .error(
            status: 415, code: "INVALID_REQUEST",
            message: "send Content-Type: application/json or application/yaml, or X-Sluice-Admin: 1",
            reason: "content_type_refused")
    }

    private static func text(_ bytes: RawSpan) -> String { String(decoding: bytes.array(), as: UTF8.self) }

    /// The first field of that name.
    private static func field(_ name: StaticString, _ headers: borrowing HeaderBlock) -> String {
        for i in 0..<headers.count where headers.name(i).equals(ignoringCase: name) && !headers.fields[i].isRemoved {
            return text(headers.value(i))
        }
        return ""
    }
}

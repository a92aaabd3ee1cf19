/// What the daemon said.
public struct AdminAnswer: Sendable {
    public let status: UInt16
    /// In lower case, without parameters; empty when there was none.
    public let contentType: String
    public let body: [UInt8]

    public init(status: UInt16, contentType: String, body: [UInt8]) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    public var isSuccess: Bool { (200...299).contains(status) }
    public var isText: Bool { contentType == "text/plain" }
    public var text: String { String(decoding: body, as: UTF8.self) }
}

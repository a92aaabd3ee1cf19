/// How large a message's head may be. Whoever sends more is refused before the excess is kept.
public struct Limits: Equatable, Sendable {
    /// Bytes of the request target; more is 414. RFC 9112 §3 recommends at least 8,000.
    public let requestTargetBytes: Int
    /// Bytes of one field line without its line end; more is 431. At most 65,535, which is what a `Field` can address.
    public let fieldBytes: Int
    /// Bytes of all field lines with their line ends; more is 431.
    public let headerBytes: Int
    /// Field lines; more is 431.
    public let fieldCount: Int

    public init(
        requestTargetBytes: Int = 8192, fieldBytes: Int = 16_384, headerBytes: Int = 65_536, fieldCount: Int = 100
    ) {
        self.requestTargetBytes = min(max(requestTargetBytes, 1), 1 << 20)
        self.fieldBytes = min(max(fieldBytes, 1), 65_535)
        self.headerBytes = min(max(headerBytes, 1), 1 << 24)
        self.fieldCount = min(max(fieldCount, 1), 10_000)
    }

    /// What a backend may send: one long `Set-Cookie` or policy field is its own affair, as long as the whole fits.
    public static var response: Limits { Limits(fieldBytes: 65_535, fieldCount: 200) }

    /// Bytes after which `RequestParser` never asks for more: two empty lines, the start line, the fields, the empty line.
    public var requestHeadBytesMax: Int { 4 + RequestParser.methodBytesMax + 1 + requestTargetBytes + 11 + headerBytes + 2 }

    /// Bytes after which `ResponseParser` never asks for more.
    public var responseHeadBytesMax: Int { ResponseParser.statusLineBytesMax + headerBytes + 2 }
}

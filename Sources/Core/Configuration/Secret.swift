/// Bytes that must not appear in a log, a dump or an error.
public struct Secret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var bytes: [UInt8]

    public init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    public var isEmpty: Bool { bytes.isEmpty }

    public var description: String { bytes.isEmpty ? "none" : "********" }
    public var debugDescription: String { description }
    /// `dump` and the default descriptions of what holds it see no bytes either.
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}

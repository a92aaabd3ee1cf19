import Primitives

/// The protocols that a route lets a client change to (RFC 9110 §7.8): `websocket`, or another name, perhaps with `/version`.
public struct UpgradeTokens: Sendable, Equatable {
    /// In lower case.
    private let names: [[UInt8]]

    /// `h2c` is left out, whoever lists it: a tunnel to a backend that takes it goes past every rule of the gateway
    /// (RFC 9113 §3.1, which has ended it).
    public init(_ names: [String]) {
        self.names = names.map { $0.utf8.map(ASCII.lowercased) }.filter { $0 != Array("h2c".utf8) }
    }

    public var isEmpty: Bool { names.isEmpty }

    /// The name at an index that `UpgradeVerdict` told, in lower case; nil for another index.
    public func name(_ index: Int) -> [UInt8]? { names.indices.contains(index) ? names[index] : nil }

    /// The index of the name that this element of `Upgrade` is; case does not count.
    func index(of element: RawSpan) -> Int? {
        for i in names.indices {
            let name = names[i]
            if element.equals(ignoringCase: name.span.bytes) { return i }
        }
        return nil
    }
}

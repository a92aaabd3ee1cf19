import Primitives

/// Which part of a list is asked for: `?limit=100&cursor=…`.
public struct ListPage: Sendable {
    /// More entries than this are never listed at once.
    public static var limitMax: Int { 1000 }
    public static var limitDefault: Int { 100 }

    private let limit: Int
    /// The name of the last entry of the page before; names are unique, and survive a reload that moves their entries.
    private let cursor: String?

    public init(limit: Int = limitDefault, after cursor: String? = nil) {
        self.limit = min(max(limit, 1), Self.limitMax)
        self.cursor = cursor
    }

    /// - Parameter query: as it was sent.
    /// - Throws: what is wrong with it, for whoever sent it.
    public init(query: String) throws(ListPageError) {
        var limit = Self.limitDefault
        var cursor: String?
        for pair in query.utf8.split(separator: 0x26) {
            let parts = pair.split(separator: 0x3d, maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count == 2 ? PercentText.decoded(Array(parts[1])) : ""
            switch PercentText.decoded(Array(parts[0])) {
            case "limit":
                guard let number = Int(value), (1...Self.limitMax).contains(number) else {
                    throw ListPageError("limit must be a number from 1 to \(Self.limitMax)")
                }
                limit = number
            case "cursor": cursor = value
            default: throw ListPageError("unknown parameter; known here: limit, cursor")
            }
        }
        self.init(limit: limit, after: cursor)
    }

    /// The entries of the page.
    /// - Throws: where the cursor names none.
    func range(in names: [String]) throws(ListPageError) -> Range<Int> {
        var first = 0
        if let cursor {
            guard let last = names.firstIndex(of: cursor) else {
                throw ListPageError("cursor names nothing any more; begin again without it")
            }
            first = last + 1
        }
        return first..<min(names.count, first + limit)
    }
}

/// What is wrong with the parameters of a question, as a sentence.
public struct ListPageError: Error, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

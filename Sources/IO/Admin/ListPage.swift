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
            let value = parts.count == 2 ? Self.decoded(parts[1]) : ""
            switch Self.decoded(parts[0]) {
            case "limit":
                guard let number = Int(value), (1...Self.limitMax).contains(number) else {
                    throw ListPageError(description: "limit must be a number from 1 to \(Self.limitMax)")
                }
                limit = number
            case "cursor": cursor = value
            default: throw ListPageError(description: "unknown parameter; known here: limit, cursor")
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
                throw ListPageError(description: "cursor names nothing any more; begin again without it")
            }
            first = last + 1
        }
        return first..<min(names.count, first + limit)
    }

    /// RFC 3986 §2.1; what begins no escape stands for itself.
    private static func decoded(_ escaped: Substring.UTF8View) -> String {
        let bytes = Array(escaped)
        var result: [UInt8] = []
        var i = 0
        while i < bytes.count {
            if bytes[i] == ASCII.percent, bytes.count - i > 2, let high = ASCII.hexValue(bytes[i + 1]),
                let low = ASCII.hexValue(bytes[i + 2])
            {
                result.append(high << 4 | low)
                i += 3
            } else {
                result.append(bytes[i])
                i += 1
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// What is wrong with the question for a page, as a sentence.
public struct ListPageError: Error, Equatable, CustomStringConvertible {
    public let description: String
}

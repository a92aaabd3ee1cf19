import HTTPMessages
import Primitives

/// The fields that scripts of other sites may send: what `Access-Control-Request-Headers` asks for is compared with.
struct CORSHeaderList: Sendable {
    /// As it is written; empty for none.
    let text: String
    private let names: [[UInt8]]
    private let hasAny: Bool

    /// Nobody's script sends more than a handful; the rest is not looked at.
    static let askedMax = 100

    init(_ headers: [String]) {
        text = headers.joined(separator: ", ")
        names = headers.map { $0.utf8.map(ASCII.lowercased) }
        hasAny = headers.contains("*")
    }

    /// Whether every field that a preflight asks for is among them; so where it asks for none.
    func holdsAll(askedBy head: borrowing RequestHead) -> Bool {
        let name: StaticString = "access-control-request-headers"
        let lowercase = RawSpan(_unsafeStart: UnsafeRawPointer(name.utf8Start), byteCount: name.utf8CodeUnitCount)
        var asked = 0
        var next = 0
        while let index = head.headers.firstIndex(named: lowercase, from: next) {
            guard holdsAll(head.headers.value(index), &asked) else { return false }
            next = index + 1
        }
        return true
    }

    private func holdsAll(_ value: RawSpan, _ asked: inout Int) -> Bool {
        var start = 0
        while start <= value.byteCount {
            let rest = value.extracting(start..<value.byteCount)
            let end = rest.firstIndex(of: ASCII.comma) ?? rest.byteCount
            let name = rest.extracting(0..<end).trimmingWhitespace()
            start += end + 1
            if name.byteCount == 0 { continue }
            asked += 1
            guard asked <= CORSHeaderList.askedMax, holds(name) else { return false }
        }
        return true
    }

    /// `*` does not stand for `Authorization` (Fetch, CORS non-wildcard request-header name).
    private func holds(_ name: RawSpan) -> Bool {
        for own in names {
            if name.equals(ignoringCase: own.span.bytes) { return true }
        }
        return hasAny && isToken(name) && !name.equals(ignoringCase: "authorization")
    }
}

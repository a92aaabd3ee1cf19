import HTTPMessages
import Primitives

/// The fields that `Connection` names: they end at this hop (RFC 9110 §7.6.1).
enum ConnectionOptions {
    /// Honest senders name two or three. Each is compared with all fields, so there is an end.
    static let optionsMax = 64

    /// Removes the named fields, but none that the gateway sets or needs: a client must not be able to strip
    /// `X-Forwarded-For` or `Authorization` by naming it.
    static func removeNamedFields(from headers: inout HeaderBlock) throws(HeadFault) {
        var options = 0
        for i in 0..<headers.count where headers.fields[i].id == .connection {
            let count = headers.value(i).byteCount
            var start = 0
            while start < count {
                let (token, next) = element(headers.value(i), from: start)
                start = next
                guard !token.isEmpty else { continue }
                options += 1
                guard options <= optionsMax else { throw .connectionOptionsTooMany }
                remove(token, of: i, from: &headers)
            }
        }
    }

    /// The element of a comma-separated list that begins at `start`, and where the next one does.
    private static func element(_ value: RawSpan, from start: Int) -> (Range<Int>, Int) {
        var end = start
        while end < value.byteCount, value[end] != ASCII.comma { end += 1 }
        let next = end + 1
        var first = start
        while first < end, value[first] == ASCII.space || value[first] == ASCII.tab { first += 1 }
        while end > first, value[end - 1] == ASCII.space || value[end - 1] == ASCII.tab { end -= 1 }
        return (first..<end, next)
    }

    private static func remove(_ token: Range<Int>, of connection: Int, from headers: inout HeaderBlock) {
        for k in 0..<headers.count where mayBeNamed(headers, k) {
            if headers.name(k).equals(ignoringCase: headers.value(connection).extracting(token)) { headers.remove(at: k) }
        }
    }

    /// Whether a sender may end this field here. Of the fields known by id, only those that decide nothing; of the others, all
    /// but `Content-*`, which are of the content.
    private static func mayBeNamed(_ headers: borrowing HeaderBlock, _ index: Int) -> Bool {
        switch headers.fields[index].id {
        case .other: !headers.name(index).hasPrefix(ignoringCase: "content-")
        case .userAgent, .referer, .accept, .server, .keepAlive, .proxyConnection, .te, .trailer, .upgrade, .http2Settings: true
        default: false
        }
    }
}

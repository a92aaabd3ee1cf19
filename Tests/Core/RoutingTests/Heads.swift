import HTTPMessages
import Primitives

@testable import Routing

/// A head as the parser leaves it, but with any bytes at all in target and fields.
func makeHead(
    _ method: String = "GET", _ target: [UInt8], host: String? = "example.com", fields: [(String, String)] = []
) -> RequestHead {
    var head = RequestHead()
    let start = head.headers.storage.count
    head.headers.storage.append(method)
    head.methodRange = start..<head.headers.storage.count
    head.method = Method(head.bytes(head.methodRange))
    head.headers.storage.append(ASCII.space)
    let targetStart = head.headers.storage.count
    head.headers.storage.append(target)
    head.targetRange = targetStart..<head.headers.storage.count
    head.headers.storage.append(" HTTP/1.1\r\n")
    if let host {
        head.hostIndex = 0
        head.headers.add(.host, value: Array(host.utf8).span.bytes)
    }
    for (name, value) in fields {
        let nameBytes = Array(name.utf8)
        let id = FieldID(lowercasing: nameBytes.span.bytes)
        head.headers.add(id, name: nameBytes.span.bytes, value: Array(value.utf8).span.bytes)
    }
    return head
}

func makeHead(
    _ method: String = "GET", _ target: String, host: String? = "example.com", fields: [(String, String)] = []
) -> RequestHead {
    makeHead(method, Array(target.utf8), host: host, fields: fields)
}

extension RequestHead {
    func text(_ range: Range<Int>) -> String { String(decoding: bytes(range).array(), as: UTF8.self) }
    var pathText: String { text(path) }
    var hostText: String { text(host) }
    var queryText: String? { query.map { text($0) } }
}

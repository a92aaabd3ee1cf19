import Primitives
import Testing

@Suite struct ListElementsTests {
    @Test(arguments: [
        ("", []), (",", []), (" , ,\t", []), ("a", ["a"]), (" a ", ["a"]), ("a,b", ["a", "b"]), ("a ,, b\t,", ["a", "b"]),
        ("a b,c", ["a b", "c"]), (",a", ["a"]),
    ])
    func `elements are trimmed and empty ones are skipped`(_ text: String, _ elements: [String]) {
        let bytes = Array(text.utf8)
        var list = ListElements(bytes.span.bytes)
        var found: [String] = []
        while let range = list.next() { found.append(String(decoding: bytes[range], as: UTF8.self)) }
        #expect(found == elements)
    }
}

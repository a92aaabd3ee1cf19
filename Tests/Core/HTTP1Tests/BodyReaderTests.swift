import HTTP1
import HTTPMessages
import Primitives
import Testing

@Suite struct BodyReaderTests {
    @Test func `a body with a length ends at its last byte and leaves the rest`() {
        #expect(readBody(.length(5), bytes("helloNEXT")) == BodyVerdict(data: bytes("hello"), end: 5))
        #expect(readBody(.length(5), bytes("hello"), cuts: [1, 2, 3, 4]) == BodyVerdict(data: bytes("hello"), end: 5))
        #expect(readBody(.length(5), bytes("hell")) == BodyVerdict(data: bytes("hell")))
        #expect(readBody(.length(0), bytes("NEXT")) == BodyVerdict(end: 0))
        #expect(readBody(.none, bytes("NEXT")) == BodyVerdict(end: 0))
    }

    @Test func `a length is complete with its last data`() {
        var reader = BodyReader(.length(3))
        #expect(!reader.isComplete && reader.announcedBytes == 3)
        #expect(next(&reader, "") == .needMore(consumed: 0))
        #expect(next(&reader, "ab") == .data(0..<2))
        #expect(!reader.isComplete && reader.announcedBytes == 1)
        #expect(next(&reader, "cd") == .data(0..<1))
        #expect(reader.isComplete)
        #expect(next(&reader, "d") == .end(consumed: 0))
        #expect(closed(&reader))
    }

    @Test func `a body that ends with its connection is complete only then`() {  // 42
        var reader = BodyReader(.untilClose)
        #expect(next(&reader, "abc") == .data(0..<3))
        #expect(next(&reader, "") == .needMore(consumed: 0))
        #expect(!reader.isComplete)
        #expect(closed(&reader))
        #expect(reader.isComplete)
        #expect(next(&reader, "") == .end(consumed: 0))
    }

    @Test func `a close in the middle of a length or of chunks is a cut-off body`() {  // 39
        var length = BodyReader(.length(100))
        #expect(next(&length, String(repeating: "x", count: 60)) == .data(0..<60))
        #expect(!closed(&length))
        var chunks = BodyReader(.chunked)
        #expect(next(&chunks, "3\r\nabc\r\n") == .data(3..<6))
        #expect(next(&chunks, "\r\n0\r\n") == .needMore(consumed: 5))
        #expect(!closed(&chunks))
        #expect(next(&chunks, "\r\n") == .end(consumed: 2))
        #expect(closed(&chunks) && chunks.isComplete)
    }

    @Test func `the largest length is counted down without overflow`() {
        var reader = BodyReader(.length(UInt64(Int64.max)))
        #expect(next(&reader, "abc") == .data(0..<3))
        #expect(reader.announcedBytes == UInt64(Int64.max) - 3)
    }
}

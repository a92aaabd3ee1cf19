import Testing

@testable import Admin

struct TextTableTests {
    @Test func `columns are as wide as their widest cell, and no line ends in spaces`() {
        var table = TextTable(["NAME", "N", "LAST"])
        table.add(["a", "1", "x"])
        table.add(["a-long-name", "22", ""])
        table.add(["b"])
        #expect(
            table.text == """
                NAME         N   LAST
                a            1   x
                a-long-name  22
                b

                """)
    }

    @Test func `a cell cannot move the cursor, end its line or turn its direction`() {
        var table = TextTable(["NAME"])
        table.add(["a\u{1b}[2Jb\nc\u{202e}d\u{9b}"])
        #expect(table.text == "NAME\na\\u{1b}[2Jb\\u{a}c\\u{202e}d\\u{9b}\n")
    }

    @Test func `the values of a list stand below each other, without control characters`() {
        #expect(TextList.of([("a", "1"), ("long", "x\u{7}y")]) == "a     1\nlong  x\\u{7}y\n")
    }
}

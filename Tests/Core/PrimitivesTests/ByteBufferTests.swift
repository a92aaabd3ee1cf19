import Primitives
import Testing

@Suite struct ByteBufferTests {
    private func text(_ buffer: borrowing ByteBuffer) -> String { String(decoding: buffer.bytes.array(), as: UTF8.self) }

    @Test func `appended bytes stand in their order across growth`() {
        var buffer = ByteBuffer(capacity: 1)
        var expected = ""
        for i in 0..<200 {
            switch i % 6 {
            case 0:
                buffer.append(UInt8(ascii: "a"))
                expected += "a"
            case 1:
                buffer.append("static")
                expected += "static"
            case 2:
                buffer.append(Array("array".utf8))
                expected += "array"
            case 3:
                buffer.append("string \(i)")
                expected += "string \(i)"
            case 4:
                buffer.append(decimal: UInt64(i) * 1_000_003)
                expected += "\(i * 1_000_003)"
            default:
                buffer.append(hexadecimal: UInt64(i) * 1_000_003)
                expected += String(i * 1_000_003, radix: 16)
            }
        }
        #expect(text(buffer) == expected)
        let count = buffer.count
        #expect(count == expected.utf8.count)
    }

    @Test func `numbers are written without leading zeros up to the largest`() {
        for number: UInt64 in [0, 1, 9, 10, 99, 100, 12_345, .max] + (0..<64).map({ 1 << $0 }) {
            var buffer = ByteBuffer(capacity: 1)
            buffer.append(decimal: number)
            buffer.append(ASCII.space)
            buffer.append(hexadecimal: number)
            #expect(text(buffer) == "\(number) \(String(number, radix: 16))")
        }
    }

    @Test func `clearing keeps the memory, or no more of it than asked`() {
        var buffer = ByteBuffer(capacity: 16)
        buffer.append(Array(repeating: 1, count: 10_000))
        buffer.clear()
        let isEmpty = buffer.isEmpty
        #expect(isEmpty)
        buffer.append(Array(repeating: 2, count: 10_000))
        buffer.clear(keeping: 100)
        buffer.append(Array(repeating: 3, count: 200))
        #expect(buffer.bytes.array() == Array(repeating: 3, count: 200))
    }

    @Test func `bytes are dropped from either end`() {
        var buffer = ByteBuffer(capacity: 4)
        buffer.append("0123456789")
        buffer.removeFirst(3)
        #expect(text(buffer) == "3456789")
        buffer.truncate(to: 4)
        #expect(text(buffer) == "3456")
        buffer.removeFirst(4)
        #expect(text(buffer) == "")
    }

    @Test func `part of a buffer is appended to it again across growth`() {
        var buffer = ByteBuffer(capacity: 16)
        buffer.append("0123456789abcdef")
        buffer.appendCopy(of: 2..<14)
        #expect(text(buffer) == "0123456789abcdef23456789abcd")
        buffer.appendCopy(of: 5..<5)
        let last = buffer[27]
        #expect(last == UInt8(ascii: "d"))
    }

    @Test func `checked bytes are appended and judged`() {
        var buffer = ByteBuffer(capacity: 1)
        func value(_ text: String) -> Bool { buffer.append(checkedValue: Array(text.utf8).span.bytes) }
        func token(_ text: String) -> Bool { buffer.append(checkedToken: Array(text.utf8).span.bytes) }
        #expect(value("a b\t\u{e9}") && value(""))
        #expect(!value("a\r\nb"))
        #expect(token("Name-1"))
        #expect(!token("a b") && !token(""))
    }

    @Test func `free space takes what is written into it`() {
        var buffer = ByteBuffer(capacity: 1)
        buffer.append("ab")
        buffer.withFreeSpace(100) { space in
            space[0] = UInt8(ascii: "c")
            space[1] = UInt8(ascii: "d")
            return 2
        }
        buffer.withFreeSpace(0) { _ in 0 }
        #expect(text(buffer) == "abcd")
    }
}

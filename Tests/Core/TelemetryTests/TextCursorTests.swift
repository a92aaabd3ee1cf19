import Primitives
import Testing

@Suite struct TextCursorTests {
    private func text(_ write: (inout TextCursor) -> Void) -> String {
        var buffer = ByteBuffer(capacity: 16)
        buffer.withFreeSpace(256) { room in
            var cursor = TextCursor(room)
            write(&cursor)
            return cursor.count
        }
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    @Test func `numbers are written as Swift writes them`() {
        var random = RandomSource(seed: 3)
        var numbers: [UInt64] = [0, .max]
        var power: UInt64 = 1
        for _ in 0..<19 {
            numbers += [power - 1, power, power + 1]
            power *= 10
        }
        numbers += [power - 1, power, power + 1]
        for _ in 0..<10_000 { numbers.append(random.next() >> UInt64(Int.random(in: 0..<64, using: &random))) }
        for number in numbers where text({ $0.write(decimal: number) }) != "\(number)" { Issue.record("\(number)") }
        for number in UInt32(0)..<100 { #expect(text { $0.write(twoDigits: number) } == (number < 10 ? "0" : "") + "\(number)") }
        for number in UInt32(0)..<1000 {
            #expect(text { $0.write(threeDigits: number) } == String(repeating: "0", count: 3 - "\(number)".count) + "\(number)")
        }
    }

    @Test func `milliseconds have three decimals`() {
        #expect(text { $0.write(millisecondsOf: 0) } == "0.000")
        #expect(text { $0.write(millisecondsOf: 999) } == "0.000")
        #expect(text { $0.write(millisecondsOf: 1_234_567) } == "1.234")
        #expect(text { $0.write(millisecondsOf: 30_000_000_000) } == "30000.000")
        #expect(text { $0.write(millisecondsOf: .max) } == "18446744073709.551")
    }

    @Test func `addresses are written as elsewhere`() {
        var random = RandomSource(seed: 5952)
        var addresses = [
            IPAddress(v4: 0), IPAddress(v4: .max), IPAddress(v4: 0x7f00_0001), IPAddress(high: 0, low: 0),
            IPAddress(high: 0, low: 1),
            IPAddress(high: .max, low: .max), IPAddress(high: 0x2001_0db8_0000_0000, low: 1),
            IPAddress(high: 0x2001_0db8_0000_0001, low: 0x0001_0001_0001_0001), IPAddress(high: 1, low: 0),
        ]
        for _ in 0..<20_000 {
            var words: [UInt64] = []
            for _ in 0..<8 { words.append(random.next() % 3 == 0 ? random.next() >> UInt64(48 + random.next() % 16) : 0) }
            addresses.append(
                IPAddress(
                    high: words[0] << 48 | words[1] << 32 | words[2] << 16 | words[3],
                    low: words[4] << 48 | words[5] << 32 | words[6] << 16 | words[7]))
            addresses.append(IPAddress(v4: UInt32(truncatingIfNeeded: random.next())))
        }
        for address in addresses where text({ $0.write(address: address) }) != address.text { Issue.record("\(address.text)") }
    }
}

import Configuration
import ConfigurationFile
import Testing

struct ZZFuzz {
    @Test func `fuzz`() {
        let seeds = ["example", "quickstart", "minimal"].map { readFile("\(repository)/config/\($0).yaml") } + brokenFiles.map { Array($0.whole.utf8) }
        var random = TestRandom(state: 77)
        let words = ["&a ", "*a", "{", "}", "[", "]", ": ", "- ", "\n", "\n  ", "<<: ", "${", "$", "\"", "'", "!!", "|\n", ">-\n", "? ", "~", "null", "%", "\\u0000", "\\x00", "\u{85}", "\u{2028}", "99999999999999999999", "-1", "0", "1e9", "é", "enabled: false", "---\n", "...\n", "#", "\t", "unix:", "http://", "[::", "]:1", "/*", "{a}", "..", "%2f", "0x", "off", "ms"]
        for _ in 0..<8000 {
            var bytes = seeds[Int(random.next(0...UInt64(seeds.count - 1)))]
            for _ in 0..<Int(random.next(1...8)) {
                guard !bytes.isEmpty else { break }
                let i = Int(random.next(0...UInt64(bytes.count - 1)))
                switch random.next(0...5) {
                case 0: bytes[i] = UInt8(truncatingIfNeeded: random.next(0...255))
                case 1: bytes.remove(at: i)
                case 2, 3: bytes.insert(contentsOf: Array(words[Int(random.next(0...UInt64(words.count - 1)))].utf8), at: i)
                case 4: bytes.removeSubrange(i..<min(bytes.count, i + Int(random.next(1...60))))
                default:
                    let other = seeds[Int(random.next(0...UInt64(seeds.count - 1)))]
                    if other.isEmpty { continue }
                    let j = Int(random.next(0...UInt64(other.count - 1)))
                    bytes.insert(contentsOf: other[j..<min(other.count, j + Int(random.next(1...80)))], at: i)
                }
            }
            let result = ConfigurationLoader.load(bytes: bytes, name: "t.yaml", environment: [:])
            if (result.configuration == nil) != !result.errors.isEmpty { Issue.record("x") }
        }
    }
}

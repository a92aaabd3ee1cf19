import Configuration
import ConfigurationFile
import Testing

struct YAMLTests {
    private func errors(_ bytes: [UInt8]) -> [String] {
        ConfigurationLoader.load(bytes: bytes, name: "t.yaml", environment: [:]).errors.map {
            "\($0.mark.line):\($0.mark.column) \($0.message)"
        }
    }

    @Test func `a billion laughs are refused by their number`() {
        var text = "a0: &a0 [l, l, l, l, l, l, l, l, l, l]\n"
        for i in 1...9 { text += "a\(i): &a\(i) [" + Array(repeating: "*a\(i - 1)", count: 10).joined(separator: ", ") + "]\n" }
        #expect(errors(Array(text.utf8)) == ["5:45 the aliases of the file stand for more than 100000 values"])
    }

    @Test func `merge keys cannot grow past the same number`() {
        var text = "m0: &m0 {" + (0..<100).map { "k\($0): 1" }.joined(separator: ", ") + "}\n"
        for i in 0..<2000 { text += "x\(i): {<<: *m0}\n" }
        #expect(errors(Array(text.utf8)).last == "499:12 the aliases of the file stand for more than 100000 values")
    }

    @Test func `nesting of 64 levels is read, and of 65 refused`() {
        func nested(_ depth: Int) -> [UInt8] {
            Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        #expect(errors(nested(64)) == ["1:1 expected a mapping, not a list"])
        #expect(errors(nested(65)) == ["1:65 nested more than 64 levels deep"])
        #expect(errors(nested(500_000)) == ["1:65 nested more than 64 levels deep"])
    }

    @Test func `depth counts through aliases`() {
        let half = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        let text = "a: &a \(half)\nb: \(String(repeating: "[", count: 40))*a\(String(repeating: "]", count: 40))\n"
        #expect(errors(Array(text.utf8)) == ["1:4 nested more than 64 levels deep"])
    }

    @Test func `a file of more than 16 MiB is refused`() {
        #expect(errors(Array(repeating: 0x23, count: 16 << 20 + 1)) == ["1:1 the file is longer than 16MiB"])
        let result = withFile(String(repeating: "#", count: 16 << 20 + 1)) { ConfigurationLoader.load(path: $0) }
        #expect(result.errors.map(\.message) == ["cannot read the file: Longer than 16777216 bytes"])
    }

    @Test func `bytes that are no UTF-8 are refused with their place`() {
        #expect(errors(Array("a: 1\nb: ä".utf8) + [0xff]) == ["2:5 the file is not UTF-8"])
        // A surrogate, an overlong slash, a code point beyond the last, a sequence cut short.
        for bad: [UInt8] in [[0xed, 0xa0, 0x80], [0xc0, 0xaf], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]] {
            #expect(errors(Array("a: ".utf8) + bad) == ["1:4 the file is not UTF-8"])
        }
        #expect(errors([0xff, 0xfe, 0x61, 0]) == ["1:1 the file is UTF-16; it must be UTF-8"])
    }

    @Test func `a NUL is refused, raw and escaped`() {
        #expect(errors(Array("a: 1\nb: ".utf8) + [0]) == ["2:4 the file has a NUL byte"])
        #expect(errors(Array("a: \"x\\0y\"\n".utf8)) == ["1:4 text with a NUL character"])
    }

    @Test func `a file of nothing, or of a byte order mark alone, is empty`() {
        #expect(errors([]) == ["1:1 the file is empty"])
        #expect(errors([0xef, 0xbb, 0xbf]) == ["1:1 the file is empty"])
    }

    @Test func `a byte order mark is skipped and counts in no column`() {
        #expect(errors([0xef, 0xbb, 0xbf] + Array("banan: 1\n".utf8)).contains { $0.hasPrefix("1:1 unknown key") })
    }

    @Test func `an alias repeats a value and a merge key its keys, the mapping's own first`() throws {
        let result = loadRest(
            """
            services:
              a: &a
                instances: [{url: "http://h:1"}]
                timeouts: &t {connect: 1s, response: 7s}
              b:
                <<: *a
                timeouts: {<<: *t, connect: 3s}
              c: *a
            routes: [{name: r, match: {path: /}, service: a}]
            """)
        #expect(lines(result) == [])
        let services = try #require(result.configuration).services
        #expect(services.map(\.timeouts.connect) == [.seconds(1), .seconds(3), .seconds(1)])
        #expect(services.map(\.timeouts.response) == [.seconds(7), .seconds(7), .seconds(7)])
        #expect(services.map(\.instances.count) == [1, 1, 1])
    }

    @Test func `a quoted nothing is text and a plain one is no value`() {
        #expect(
            lines(loadRest("services: {\"null\": {instances: [{url: \"http://h\", version: \"null\"}]}}\nroutes: []\n")) == [
                "t.yaml:3:9: warning: routes: there is no route: every request gets 404"
            ])
        for nothing in ["", "~", "null"] {
            #expect(
                loadRest("server: {via: \(nothing)}\n").errors.map(\.message) == [
                    "has no value; expected \("a token (letters, digits and !#$%&'*+-.^_`|~)")"
                ])
        }
    }

    @Test func `core tags are read, and a tag for another kind refused`() {
        #expect(loadRest("server: !!map {workers: !!int \"2\", via: !!str abc}\nroutes: !!seq []\n").errors.isEmpty)
        #expect(
            loadRest("server: !!seq {workers: 2}\n").errors.map(\.message) == ["the tag tag:yaml.org,2002:seq is not supported"])
    }

    /// What a fuzzer would do first, with a seed so that a failure can be repeated.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func `no mutation of the example crashes or hangs the reader`(seed: UInt64) {
        let example = readFile("\(repository)/config/example.yaml")
        #expect(example.count > 1000)
        var random = TestRandom(state: seed)
        for _ in 0..<60 {
            var bytes = example
            for _ in 0..<Int(random.next(1...12)) { mutate(&bytes, &random) }
            let result = ConfigurationLoader.load(bytes: bytes, name: "t.yaml", environment: [:])
            #expect((result.configuration == nil) == !result.errors.isEmpty)
            #expect(result.diagnostics.count <= 2 * (DiagnosticList.maximum + 1))
        }
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout TestRandom) {
        guard !bytes.isEmpty else { return }
        let i = Int(random.next(0...UInt64(bytes.count - 1)))
        switch random.next(0...5) {
        case 0: bytes[i] = UInt8(truncatingIfNeeded: random.next(0...255))
        case 1: bytes.remove(at: i)
        case 2:
            bytes.insert(
                contentsOf: Array(
                    ["&a ", "*a", "{", "}", "[", "]", ": ", "- ", "\n", "<<: ", "${", "\"", "!!", "|\n"][Int(random.next(0...13))]
                        .utf8), at: i)
        case 3: bytes.removeSubrange(i..<min(bytes.count, i + Int(random.next(1...200))))
        case 4: bytes.insert(contentsOf: bytes[i..<min(bytes.count, i + Int(random.next(1...200)))], at: 0)
        default: bytes.swapAt(i, Int(random.next(0...UInt64(bytes.count - 1))))
        }
    }
}

/// SplitMix64.
struct TestRandom {
    var state: UInt64

    mutating func next(_ range: ClosedRange<UInt64>) -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return range.lowerBound + (z ^ (z >> 31)) % (range.upperBound - range.lowerBound + 1)
    }
}

import Configuration
import ConfigurationFile
import Testing

struct BrokenFileTests {
    // Hardening 190, 212.
    @Test(arguments: brokenFiles + brokenOperations + brokenResilience + brokenProtocols)
    func `a broken file is refused, and what is wrong is said word for word`(file: BrokenFile) {
        let result = load(file.whole, environment: file.environment)
        #expect(lines(result).joined(separator: "\n") == file.diagnostics)
        #expect(result.configuration == nil)
    }

    @Test func `there are at least fifty broken files, each with an error`() {
        #expect(brokenFiles.count >= 50)
        for file in brokenFiles + brokenOperations + brokenResilience + brokenProtocols {
            #expect(file.diagnostics.contains(": error: "), "\(file.name)")
        }
    }

    @Test func `a file that cannot be opened is one clear error`() {
        #expect(
            lines(ConfigurationLoader.load(path: "/nonexistent/sluice.yaml")) == [
                "/nonexistent/sluice.yaml: error: cannot read the file: No such file or directory"
            ])
        #expect(lines(ConfigurationLoader.load(path: "/tmp")) == ["/tmp: error: cannot read the file: Is a directory"])
        #expect(
            lines(ConfigurationLoader.load(path: "/dev/null")) == [
                "/dev/null: error: cannot read the file: Not a regular file"
            ])
    }

    @Test func `an empty file on the disk is refused`() {
        let result = withFile("") { ConfigurationLoader.load(path: $0) }
        #expect(result.errors.map(\.message) == ["the file is empty"])
    }

    @Test func `of hundreds of mistakes fifty are shown, in the order of the file, and the rest are counted`() {
        let routes = (0..<300).map { "  - {name: r\($0), match: {path: nopath}, health: true}\n" }.joined()
        let diagnostics = loadRest("routes:\n" + routes).diagnostics
        #expect(diagnostics.count == 51)
        #expect(diagnostics.dropLast().map(\.mark.line) == Array(3...52))
        #expect(diagnostics.last?.message == "250 more errors are not shown")
    }

    @Test func `a feature without effect is warned about once, however often it is used`() {
        let balancer = "{algorithm: consistent_hash, hash_on: user}"
        let services = (0..<60).map { "  s\($0): {load_balancer: \(balancer), instances: [{url: \"http://h:1\"}]}\n" }.joined()
        let result = loadRest("services:\n" + services + "routes: [{name: a, match: {path: /}, health: true}]\n")
        #expect(
            lines(result) == [
                "t.yaml:3:61: warning: services.s0.load_balancer.hash_on: hash_on user is accepted, but has no effect in this version (used in 59 more places)"
            ])
        #expect(result.configuration != nil)
    }

    @Test func `values that are too long are refused, and shown in part`() {
        func letters(_ count: Int) -> String { String(repeating: "a", count: count) }
        #expect(loadRest("server: {via: \(letters(128))}\n").errors.isEmpty)
        #expect(loadRest("server: {via: \(letters(129))}\n").errors.first?.message.hasSuffix("not \"\(letters(80))…\"") == true)
        let route = "routes: [{name: r, match: {path: /\(letters(8192))}, respond: {content_type: \(letters(8193))}}]\n"
        #expect(loadRest(route).errors.map(\.message) == ["is longer than 8KiB", "is longer than 8KiB"])
    }

    @Test func `control characters of the file do not reach the terminal`() {
        let text = lines(loadRest("\"a\\e[31m\\u202eb\": 1\n")).joined()
        #expect(text.contains("a\\u{1b}[31m\\u{202e}b"))
        #expect(!text.unicodeScalars.contains { $0.value == 0x1b || $0.value == 0x202e })
    }
}

import HTTPMessages
import Primitives
import Testing

@Suite struct AcceptPreferenceTests {
    private func prefersProblem(_ lines: String...) -> Bool {
        var preference = AcceptPreference()
        for line in lines {
            let bytes = Array(line.utf8)
            preference.read(bytes.span.bytes)
        }
        switch preference.format {
        case .json: return false
        case .problem: return true
        }
    }

    @Test(arguments: [
        "application/problem+json", "APPLICATION/Problem+JSON", "application/problem+json, */*",
        "application/problem+json, application/*", "application/json;q=0.5, application/problem+json",
        "application/problem+json;q=0.9, application/json;q=0.899", "text/html, application/problem+json;q=0.1",
        "application/problem+json;charset=\"a,b;c\\\"\";q=0.5, application/json;q=0.4", ",, ,application/problem+json,",
        "application/json;q=0, */*;q=0.1", "application/problem+json ; q=0.7 , application/json; q=0.6",
        "bad, application/problem+json", "application/problem+json;;q=1", "application/problem+json;x;q=0.5",
        "application/problem+json;q=0.5;ext=1, application/json;q=0.4",
        "application/problem+json, application/json;q=2, */*;q=0.1",
    ])
    func `problem details are preferred`(accept: String) {
        #expect(prefersProblem(accept))
    }

    @Test(arguments: [
        "", "*/*", "application/*", "application/json", "application/json, application/problem+json",
        "application/problem+json, application/json", "application/problem+json;q=0", "application/problem+json;q=0.5, */*",
        "text/html", "application/problem+json;q=0.4, application/json;q=0.5", "application/problem+xml", "application/problem",
        "application/problem+json;q=1.1", "application/problem+json;q=0.1234", "application/problem+json;q=",
        "application/problem+json;q", "application/problem+json;q=\"1\"", "application/problem+json q=1",
        "\"application/problem+json\"", "x=\"a, application/problem+json", "application/problem+json/x", ";", "/", ",", "*",
        "application/*, application/problem+json;q=0",
    ])
    func `plain JSON is sent`(accept: String) {
        #expect(!prefersProblem(accept))
    }

    @Test func `several field lines are one list`() {
        #expect(!prefersProblem("application/problem+json;q=0.5", "application/json"))
        #expect(prefersProblem("application/json;q=0.5", "application/problem+json"))
    }

    @Test func `the lines of a head are read, removed ones are not`() {
        var headers = HeaderBlock()
        let problem = Array("application/problem+json".utf8)
        headers.add(.accept, value: problem.span.bytes)
        switch AcceptPreference(headers).format {
        case .json: Issue.record("the field was not read")
        case .problem: break
        }
        headers.removeAll(.accept)
        switch AcceptPreference(headers).format {
        case .json: break
        case .problem: Issue.record("a removed field was read")
        }
    }

    @Test func `any bytes are read to their end without a fault`() {
        var random = RandomSource(seed: 1)
        let alphabet = Array("application/problem+json*;q=0.19,\"\\ \t\u{0}\u{ff}".utf8)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            var preference = AcceptPreference()
            preference.read(bytes.span.bytes)
        }
    }
}

import HTTPMessages
import Pipeline
import Primitives
import Testing

/// What a configuration can say to a custom middleware, and what is said of it when it is wrong.
@Suite struct MiddlewareOptionsTests {
    private func options(_ value: String) -> MiddlewareOptions { MiddlewareOptions([("key", value)]) }

    private func problem<T>(_ read: () throws(MiddlewareOptionError) -> T) -> String {
        do {
            _ = try read()
            return ""
        } catch {
            return error.description
        }
    }

    @Test(arguments: [
        ("250ms", 250), ("5s", 5000), ("5", 5000), ("2m", 120_000), ("1h", 3_600_000), ("1d", 86_400_000), ("0", 0),
    ]) func `durations are read as elsewhere in the file`(text: String, milliseconds: UInt64) throws {
        #expect(try options(text).duration("key") == .milliseconds(milliseconds))
    }

    @Test(arguments: ["", "s", "1 s", "1.5s", "-1s", "1w", "soon", "1234567890123456789"])
    func `what is no duration is refused with the key`(text: String) {
        #expect(
            problem { () throws(MiddlewareOptionError) in try options(text).duration("key") }
                == "options.key: expected a duration such as 250ms, 5s or 1m, not \"\(text)\"")
    }

    @Test func `a duration too long for a counter is the longest one`() throws {
        #expect(try options("999999999999999999d").duration("key") == .forever)
    }

    @Test func `values outside their range are refused with the bounds`() {
        let range = TimeAmount.milliseconds(250)...TimeAmount.seconds(60)
        #expect(
            problem { () throws(MiddlewareOptionError) in try options("2m").duration("key", in: range) }
                == "options.key: must be between 250ms and 60s, not 2m")
        #expect(
            problem { () throws(MiddlewareOptionError) in try options("0").int("key", in: 1...9) }
                == "options.key: must be between 1 and 9, not 0")
    }

    @Test func `numbers, truths and texts are read`() throws {
        #expect(try options("-7").int("key") == -7)
        #expect(try options("true").bool("key"))
        #expect(try !options("false").bool("key"))
        #expect(try options("a: b").string("key") == "a: b")
        #expect(options("x").optionalString("key") == "x")
        #expect(options("x").optionalString("other") == nil)
    }

    @Test(arguments: ["", "1.0", "0x1", "99999999999999999999", "one"])
    func `what is no number is refused`(text: String) {
        #expect(
            problem { () throws(MiddlewareOptionError) in try options(text).int("key") }
                == "options.key: expected a whole number, not \"\(text)\"")
    }

    @Test(arguments: ["", "yes", "True", "1"]) func `what is neither true nor false is refused`(text: String) {
        #expect(problem { () throws(MiddlewareOptionError) in try options(text).bool("key") }.contains("expected true or false"))
    }

    @Test func `an empty text is refused where a text is needed`() {
        #expect(
            problem { () throws(MiddlewareOptionError) in try options("").string("key", default: "x") }
                == "options.key: must not be empty")
    }

    @Test func `a missing key has its default, or is refused`() throws {
        let none = MiddlewareOptions([])
        #expect(try none.string("a", default: "x") == "x")
        #expect(try none.int("a", default: 3) == 3)
        #expect(try none.bool("a", default: true))
        #expect(try none.duration("a", default: .seconds(1)) == .seconds(1))
        #expect(problem { () throws(MiddlewareOptionError) in try none.string("a") } == "options.a: is missing")
        #expect(problem { () throws(MiddlewareOptionError) in try none.int("a") } == "options.a: is missing")
        #expect(problem { () throws(MiddlewareOptionError) in try none.bool("a") } == "options.a: is missing")
        #expect(problem { () throws(MiddlewareOptionError) in try none.duration("a") } == "options.a: is missing")
    }

    @Test func `control characters and length do not spoil a diagnostic`() {
        let said = problem { () throws(MiddlewareOptionError) in
            try options("a\n\u{1b}[31m" + String(repeating: "x", count: 100)).int("key")
        }
        #expect(said == "options.key: expected a whole number, not \"a??[31m\(String(repeating: "x", count: 53))…\"")
    }

    private struct Nothing: Middleware { let name = "nothing" }

    @Test func `an option that a type does not read is refused and the others are named`() throws {
        let type = MiddlewareType("mine") { options in
            _ = try options.string("url", default: "x")
            _ = try options.int("retries", default: 1)
            return Nothing()
        }
        #expect(try type.middleware(MiddlewareOptions([("url", "y")])).name == "nothing")
        do {
            _ = try type.middleware(MiddlewareOptions([("url", "y"), ("retires", "2")]))
            Issue.record("it was accepted")
        } catch {
            #expect("\(error)" == "options.retires: mine has no such option; it has url, retries")
        }
        do {
            _ = try type.middleware(MiddlewareOptions([("retries", "many")]))
            Issue.record("it was accepted")
        } catch {
            #expect("\(error)" == "options.retries: expected a whole number, not \"many\"")
        }
    }

    @Test func `no message quotes an option that came from the environment or a file`() {
        for text in ["s3cr3t", "987654321"] {
            let options = MiddlewareOptions([("key", text)], secrets: ["key"])
            for read in [
                { _ = try options.int("key", in: 1...2) }, { _ = try options.bool("key") },
                { _ = try options.duration("key", in: .zero ... .seconds(1)) },
            ] as [() throws -> Void] {
                let error = #expect(throws: MiddlewareOptionError.self) { try read() }
                #expect(error.map { !"\($0)".contains(text) && !"\($0)".contains("not ") } == true)
            }
        }
    }
}

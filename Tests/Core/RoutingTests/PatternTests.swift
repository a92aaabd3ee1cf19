import HTTPMessages
import Primitives
import Testing

@testable import Routing

struct PatternTests {
    @Test(arguments: [
        ("", PathPatternError.noLeadingSlash), ("api", .noLeadingSlash), ("*", .noLeadingSlash), ("{id}", .noLeadingSlash),
        ("/a*", .asterisk), ("/a/*/b", .asterisk), ("/*/", .asterisk), ("/a/**", .asterisk), ("/a?b", .query), ("/a#b", .query),
        ("/a/{id", .partialParameter), ("/a/id}", .partialParameter), ("/a/x{id}", .partialParameter),
        ("/a/{id}x", .partialParameter), ("/a/{a}{b}", .partialParameter), ("/a/{{a}}", .partialParameter),
        ("/a/{}", .parameterName("")), ("/a/{1a}", .parameterName("1a")), ("/a/{a-b}", .parameterName("a-b")),
        ("/{id}/{id}", .duplicateParameter("id")),
        ("/a/../b", .notCanonical("/a/../b")), ("/%41", .notCanonical("/A")), ("/a%2fb", .notCanonical("/a%2Fb")),
        ("/[a]/{id}/*", .notCanonical("/%5Ba%5D/{id}/*")), ("/a b", .refused(.invalidByte)),
        ("/caf\u{e9}", .refused(.invalidByte)),
        ("/a%zz", .refused(.invalidEscape)), ("/..", .refused(.aboveRoot)), ("/a\\b", .refused(.backslash)),
        ("/a/%2e%2e", .refused(.encodedDotSegment)), ("/" + String(repeating: "a/", count: 64), .tooLong),
        ("/" + String(repeating: "a", count: 8192), .tooLong),
    ])
    func `a pattern that could not match as written is refused with the reason`(text: String, expected: PathPatternError) {
        #expect(throws: expected) { try PathPattern(text) }
        #expect(!expected.description.isEmpty)
    }

    @Test func `parameters, prefix and literal prefix of a pattern are told apart`() throws {
        let template = try PathPattern("/users/{id}/orders/{order_id}/*")
        #expect(template.parameters == ["id", "order_id"])
        #expect(template.isPrefix && template.literalPrefix == nil)
        #expect(template.capture("order_id") == .segment(3))
        #expect(template.capture("none") == nil)
        #expect(template.rest == .rest(after: 4))
        #expect(try PathPattern("/a/b/*").literalPrefix == Array("/a/b".utf8))
        #expect(try PathPattern("/*").literalPrefix == [])
        #expect(try PathPattern("/a").rest == nil)
    }

    @Test(arguments: [
        ("api.example.com", HostPattern.exact(Array("api.example.com".utf8))),
        ("API.Example.com.", .exact(Array("api.example.com".utf8))),
        ("*.Example.com", .wildcard(Array("example.com".utf8))), ("*", .any),
        ("[2001:DB8::1]", .exact(Array("[2001:db8::1]".utf8))),
        ("10.0.0.1", .exact(Array("10.0.0.1".utf8))),
    ])
    func `a host pattern is read in any case`(text: String, expected: HostPattern) throws {
        #expect(try HostPattern(text) == expected)
    }

    @Test(arguments: [
        ("", HostPatternError.invalid), ("a b", .invalid), ("*.", .invalid), ("a.*", .invalid), ("*a.b", .invalid),
        ("*.*.b", .invalid), ("a:80", .port), ("a:", .port), ("[::1]:80", .port), ("*.10.0.0.1", .wildcardOfAddress),
        ("*.[::1]", .wildcardOfAddress), ("http://a", .invalid), ("a/b", .invalid),
    ])
    func `a host pattern that could not match is refused`(text: String, expected: HostPatternError) {
        #expect(throws: (any Error).self) { try HostPattern(text) }
        do {
            _ = try HostPattern(text)
        } catch {
            #expect(error == expected || text == "http://a", "\(text)")
        }
    }
}

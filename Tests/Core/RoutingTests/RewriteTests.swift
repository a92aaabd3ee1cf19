import HTTPMessages
import Primitives
import Testing

@testable import Routing

/// Rewrites and redirects: items 53, 56, 58, 76.
struct RewriteTests {
    private func head(_ target: String, host: String? = "example.com") -> RequestHead {
        var head = makeHead("GET", target, host: host)
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        return head
    }

    @Test(arguments: [
        ("/api", "", "/api/users", "/users", 4), ("/api", "", "/api", "/", 4), ("/api", "", "/api/", "/", 4),
        ("/api", "", "/apix", "/apix", 0), ("/api", "", "/other", "/other", 0), ("/api/v1", "", "/api/v1/a%2Fb", "/a%2Fb", 7),
        ("", "/v2", "/x", "/v2/x", 0), ("", "/v2", "/", "/v2/", 0), ("/api", "/v2", "/api/x", "/v2/x", 4),
        ("/api", "/v2", "/api", "/v2", 4), ("", "", "/x", "/x", 0), ("/api", "", "/API/x", "/API/x", 0),
    ])
    func `a prefix is stripped at a segment's end and another added`(
        strip: String, add: String, target: String, expected: String, stripped: Int
    ) throws {
        var head = head(target + "?q=%zz")
        let result = try PathRewriter(strip: strip, add: add).rewrite(&head)
        #expect(head.text(result.path) == expected)
        #expect(result.strippedBytes == stripped)
        #expect(head.pathText == target)
        #expect(head.queryText == "q=%zz")
    }

    @Test func `a path that would begin with two slashes once stripped is refused with 400`() throws {
        var head = head("/api//evil.com")
        let rewriter = try PathRewriter(strip: "/api", add: "")
        #expect(throws: TargetFault.rewrittenPathDiffers) { try rewriter.rewrite(&head) }
        #expect(TargetFault.rewrittenPathDiffers.status == 400)
    }

    @Test(arguments: [
        ("/users/{id}/orders", "/v2/{id}", "/users/7/orders", "/v2/7"),
        ("/users/{id}/*", "/u-{id}.json", "/users/7/x/y", "/u-7.json"),
        ("/users/{id}/*", "/v2/{id}/*", "/users/7/x/y", "/v2/7/x/y"),
        ("/users/{id}/*", "/v2/{id}/*", "/users/7", "/v2/7/"),
        ("/users/{id}/*", "/v2/*", "/users/7/", "/v2/"),
        ("/*", "/v2/*", "/a/b", "/v2/a/b"),
        ("/a", "/b", "/a", "/b"),
        ("/{a}/{b}", "/{b}/{a}", "/x%20/y", "/y/x%20"),
    ])
    func `a path is replaced with the parts that the route took`(
        pattern: String, replacement: String, target: String, expected: String
    ) throws {
        var head = head(target)
        let rewriter = try PathRewriter(replacement: replacement, of: PathPattern(pattern))
        #expect(head.text(try rewriter.rewrite(&head).path) == expected)
    }

    @Test(
        arguments: [
            // ".x" and ".." are no dot segments on their own side of the join, but would be one joined.
            ("/{a}/{b}", "/v2/.{a}", "/./x/y", nil),
            ("/{a}/*", "/*", "/x//evil.com", nil),
            ("/{a}/{b}", "/v2/{a}{b}", "/..a/b", "/v2/..ab"),
            ("/{a}/{b}", "/v2/{a};{b}", "/...;x/y", "/v2/...;x;y"),
            ("/{a}/*", "/v2/.*", "/x/y", nil),
        ] as [(String, String, String, String?)])
    func `a replaced path that is not canonical is never sent on`(
        pattern: String, replacement: String, target: String, expected: String?
    ) throws {
        var head = head(target)
        do {
            let rewriter = try PathRewriter(replacement: replacement, of: PathPattern(pattern))
            let result = try rewriter.rewrite(&head)
            let path = head.text(result.path)
            #expect(CanonicalPath.isCanonical(result.path, in: &head.headers.storage))
            #expect(expected == nil || path == expected)
            #expect(!path.hasPrefix("//"))
        } catch {
            #expect(expected == nil, "\(error)")
        }
    }

    @Test func `two parts that join to a dot segment are refused with 400`() throws {
        var head = makeHead("GET", "/")
        let start = head.headers.storage.count
        // No resolved path has such segments; the check must not lean on that.
        head.headers.storage.append("/./.")
        head.path = start..<head.headers.storage.count
        let rewriter = try PathRewriter(replacement: "/v2/{a}{b}/x", of: PathPattern("/{a}/{b}"))
        #expect(throws: TargetFault.rewrittenPathDiffers) { try rewriter.rewrite(&head) }
    }

    @Test func `a rewrite that names what the route has not is refused at load`() throws {
        let pattern = try PathPattern("/users/{id}")
        #expect(throws: PathRewriterError.unknownParameter("nr")) { try PathRewriter(replacement: "/{nr}", of: pattern) }
        #expect(throws: PathRewriterError.nothingForRest) { try PathRewriter(replacement: "/v2/*", of: pattern) }
        #expect(throws: PathRewriterError.noLeadingSlash("v2")) { try PathRewriter(replacement: "v2", of: pattern) }
        for text in ["/a/../b", "/%41", "/a b", "//a", "/a?b", "/{id"] {
            #expect(throws: PathRewriterError.notCanonical(text)) { try PathRewriter(replacement: text, of: pattern) }
        }
        #expect(throws: PathRewriterError.trailingSlash("/a/")) { try PathRewriter(strip: "/a/", add: "") }
        #expect(throws: PathRewriterError.noLeadingSlash("a")) { try PathRewriter(strip: "", add: "a") }
    }

    private func location(
        _ pieces: [Redirect.Piece], _ target: String, host: String? = "Example.com:8080", keepsQuery: Bool = true
    ) throws -> String {
        var head = head(target, host: host)
        let redirect = try Redirect(to: pieces, keepsQuery: keepsQuery)
        let range = try redirect.appendLocation(to: &head, scheme: .http)
        return head.text(range)
    }

    private func text(_ text: String) -> Redirect.Piece { .text(Array(text.utf8)) }

    @Test func `a location is made of canonical host, path and query`() throws {
        #expect(try location([text("https://"), .host, .path], "/%41?b=%zz") == "https://example.com/A?b=%zz")
        #expect(try location([text("https://"), .host, .path], "/a", keepsQuery: false) == "https://example.com/a")
        #expect(try location([text("https://"), .host, .path], "/a?b", keepsQuery: false) == "https://example.com/a")
        #expect(try location([text("https://new.example"), .path], "/a") == "https://new.example/a")
        #expect(try location([text("/new?x=1")], "/a?b") == "/new?x=1")
        #expect(
            try location([.scheme, text("://"), .host, text(":81/"), .capture(.segment(1))], "/a/b/c")
                == "http://example.com:81/b")
        #expect(try location([text("/new"), .path], "/a?") == "/new/a?")
    }

    @Test func `a location that would lead to another host is refused`() throws {
        #expect(throws: TargetFault.rewrittenPathDiffers) { try location([.path], "//evil.com/") }
        #expect(throws: TargetFault.rewrittenPathDiffers) {
            try location([text("/"), .capture(.rest(after: 1))], "/a//evil.com")
        }
        #expect(throws: TargetFault.emptyHost) { try location([text("https://"), .host], "/", host: nil) }
    }

    @Test func `a redirect whose host a client could choose is refused at load`() throws {
        for pieces in [
            [text("https://example.com"), .capture(.segment(0))], [text("https://"), .capture(.segment(0))],
            [text("https://"), .path],
            [text("https://user@"), .host], [text("//evil.com")], [text("/"), .path], [text("/"), text("/evil")],
        ] as [[Redirect.Piece]] {
            #expect(throws: RedirectError.openAuthority) { try Redirect(to: pieces) }
        }
        for pieces in [[text("javascript:alert(1)")], [text("a")], [], [.host, .path], [.capture(.segment(0))]]
            as [[Redirect.Piece]]
        {
            #expect(throws: RedirectError.neitherPathNorURL) { try Redirect(to: pieces) }
        }
        #expect(throws: RedirectError.invalidByte) { try Redirect(to: [text("/a\r\nX: y")]) }
        #expect(throws: RedirectError.invalidByte) { try Redirect(to: [text("/\\evil")]) }
        #expect(throws: RedirectError.status(200)) { try Redirect(to: [.path], status: 200) }
    }
}

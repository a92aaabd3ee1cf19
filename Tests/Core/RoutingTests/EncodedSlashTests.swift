import HTTPMessages
import Primitives
import Testing

@testable import Routing

/// Encoded separators: item 57.
struct EncodedSlashTests {
    private func table() throws -> RouteTable {
        try RouteTable(
            [
                RouteRule(name: "files", path: PathPattern("/files/*")),
                RouteRule(name: "secret", path: PathPattern("/files/secret/*")),
                RouteRule(name: "one", path: PathPattern("/one/{name}")),
            ], seed: 7)
    }

    private func settle(
        _ target: String, _ rule: EncodedSlashRule, merge: Bool = false
    ) throws -> (fault: TargetFault?, path: String) {
        let table = try table()
        let policy = TargetPolicy(mergeSlashes: merge)
        var head = makeHead("GET", target)
        if let fault = CanonicalTarget.resolve(&head, policy: policy) { return (fault, "") }
        guard case .route(let route) = table.match(head) else { return (nil, "no route") }
        let fault = table.settleEncodedSlashes(of: &head, route: route, rule: rule, policy: policy)
        return (fault, fault == nil ? head.pathText : "")
    }

    @Test(arguments: ["/files/a%2fb", "/files/a%5Cb", "/files/%2F"])
    func `an encoded slash or backslash is refused where the route rejects it`(target: String) throws {
        #expect(try settle(target, .reject).fault == .encodedSlash)
    }

    @Test func `a path without one passes under every rule`() throws {
        for rule in [EncodedSlashRule.reject, .keep, .decode] {
            let found = try settle("/files/a", rule)
            #expect(found.fault == nil && found.path == "/files/a")
        }
    }

    @Test func `a kept one is matched and forwarded in upper case and separates nothing`() throws {
        #expect(try settle("/files/a%2fb%5cc", .keep).path == "/files/a%2Fb%5Cc")
        #expect(try settle("/files/secret%2fx", .keep).path == "/files/secret%2Fx")
        #expect(try settle("/one/a%2fb", .keep).path == "/one/a%2Fb")
        #expect(try settle("/files%2fx", .keep).path == "no route")
    }

    @Test func `a decoded one becomes a slash where the same route still takes the path`() throws {
        #expect(try settle("/files/a%2fb", .decode).path == "/files/a/b")
        #expect(try settle("/files/a%2f%2fb", .decode).path == "/files/a//b")
        #expect(try settle("/files/a%2f%2fb", .decode, merge: true).path == "/files/a/b")
    }

    @Test func `a path that another route takes once decoded is refused`() throws {
        #expect(try settle("/files/secret%2fx", .decode).fault == .decodedPathDiffers)
        #expect(try settle("/one/a%2fb", .decode).fault == .decodedPathDiffers)
    }

    @Test(arguments: ["/files/a%2f..%2fsecret%2fx", "/files/..%2fx", "/files/a%2f.", "/files/a%2f%2e%2e%2fsecret"])
    func `a dot segment between encoded slashes is refused under every rule`(target: String) throws {
        for rule in [EncodedSlashRule.reject, .keep, .decode] {
            #expect(try settle(target, rule).fault == .encodedDotSegment)
        }
    }

    @Test func `an encoded backslash is not decoded`() throws {
        #expect(try settle("/files/a%5cb", .decode).fault == .backslash)
    }

    @Test func `a raw backslash is refused before any route is looked up`() throws {
        for target in ["/files/a\\b", "/\\evil", "\\files"] {
            let fault = try settle(target, .keep).fault
            #expect(fault == .backslash || fault == .unknownForm)
        }
    }
}

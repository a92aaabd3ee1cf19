import HTTPMessages
import Pipeline
import Primitives
import Testing

/// Who is let in by address.
@Suite struct IPAccessTests {
    /// The reason of the answer, or nil where the client comes in.
    private func verdict(
        allow: [String] = [], deny: [String] = [], peer: String = "198.51.100.7", unixSocket: Bool = false,
        fields: [String] = []
    ) throws -> String? {
        let rules = IPAccessRules(allow: allow.compactMap(AddressBlock.init), deny: deny.compactMap(AddressBlock.init))
        var head = request("GET / HTTP/1.1", "Host: a")
        for field in fields { add(field, to: &head.headers) }
        var context = context(peer: peer, unixSocket: unixSocket)
        try entrance().receive(&head, &context)
        switch Chain([.ipAccess(rules)]).runRequest(from: 0, head: &head, context: &context) {
        case .proceed: return nil
        case .suspended: return "suspended"
        case .answer(let answer, _):
            #expect(answer.status == 403)
            guard case .error(let code, _) = answer.content else { return "no error" }
            #expect(code == "AUTH_ERROR")
            return answer.reason
        }
    }

    @Test(arguments: [
        ([], [], true), (["198.51.100.0/24"], [], true), (["198.51.100.7"], [], true), (["203.0.113.0/24"], [], false),
        ([], ["198.51.100.0/24"], false), ([], ["198.51.100.8"], true), (["198.51.100.7"], ["198.51.100.0/24"], false),
        (["0.0.0.0/0"], ["198.51.100.7"], false), (["0.0.0.0/0"], [], true), (["::/0"], [], true), (["2001:db8::/32"], [], false),
        (["10.0.0.0/8", "203.0.113.0/24", "198.51.100.4/30", "198.51.0.0/16"], ["198.51.100.0/30", "198.51.100.8/29"], true),
    ])
    func `deny wins, and a list of the allowed keeps all others out`(_ allow: [String], _ deny: [String], _ isIn: Bool) throws {
        #expect(try verdict(allow: allow, deny: deny) == (isIn ? nil : "ip_denied"))
    }

    @Test func `the client behind a trusted proxy is judged, not the proxy, and not what a stranger claims`() throws {
        let named = ["X-Forwarded-For: 192.0.2.1"]
        #expect(try verdict(deny: ["192.0.2.1"], peer: "10.0.0.1", fields: named) == "ip_denied")
        #expect(try verdict(allow: ["192.0.2.1"], peer: "10.0.0.1", fields: named) == nil)
        #expect(try verdict(allow: ["10.0.0.0/8"], peer: "10.0.0.1", fields: named) == "ip_denied")
        #expect(try verdict(allow: ["192.0.2.1"], peer: "198.51.100.7", fields: named) == "ip_denied")
    }

    @Test func `a Unix socket's client without a name passes deny lists and fails allow lists`() throws {
        #expect(try verdict(unixSocket: true) == nil)
        #expect(try verdict(deny: ["0.0.0.0/0", "::/0"], unixSocket: true) == nil)
        #expect(try verdict(allow: ["0.0.0.0/0", "::/0"], unixSocket: true) == "ip_denied")
        let named = ["X-Forwarded-For: 192.0.2.1"]
        #expect(try verdict(deny: ["192.0.2.0/24"], unixSocket: true, fields: named) == "ip_denied")
        #expect(try verdict(allow: ["192.0.2.0/24"], unixSocket: true, fields: named) == nil)
    }

    @Test func `the unspecified address is an address like others where there is no Unix socket`() throws {
        #expect(try verdict(deny: ["::/0"], peer: "::") == "ip_denied")
        #expect(try verdict(allow: ["::"], peer: "::") == nil)
    }

    @Test func `lists of any blocks say what a look at each of them says`() throws {
        let seed: UInt64 = 0x0069_0069
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        var denied = 0
        for _ in 0..<200 {
            let texts = (0..<Int.random(in: 1...40, using: &random)).map { _ -> String in
                let bits = Int.random(in: 20...32, using: &random)
                let address = UInt32.random(in: 0...0xffff, using: &random) & (bits == 32 ? .max : ~(.max >> UInt32(bits)))
                return "\(IPAddress(v4: address).text)/\(bits)"
            }
            let rules = Chain([.ipAccess(IPAccessRules(deny: texts.compactMap(AddressBlock.init)))])
            for _ in 0..<50 {
                let peer = IPAddress(v4: UInt32.random(in: 0...0xffff, using: &random))
                var head = request("GET / HTTP/1.1", "Host: a")
                var context = context(peer: peer.text)
                let isDenied =
                    if case .answer = rules.runRequest(from: 0, head: &head, context: &context) { true } else { false }
                #expect(isDenied == texts.compactMap(AddressBlock.init).contains { $0.contains(peer) }, "\(peer.text) \(texts)")
                if isDenied { denied += 1 }
            }
        }
        #expect((100..<9_900).contains(denied), "the dice must reach both: \(denied)")
    }
}

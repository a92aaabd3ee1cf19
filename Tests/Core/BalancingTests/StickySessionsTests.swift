import Balancing
import Primitives
import Testing

@Suite struct StickySessionsTests {
    static let key = SipHash.Key(first: 0x0123_4567_89ab_cdef, second: 0xfedc_ba98_7654_3210)
    static let issued: UInt64 = 1_800_000_000
    let sessions = Self.make()

    static func make(
        key: SipHash.Key = Self.key, service: String = "users",
        instances: [String] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    ) -> StickySessions {
        StickySessions(StickySessions.Policy(name: Array("sid".utf8)), key: key, service: service, instances: instances)
    }

    private func cookie(_ instance: Int, at time: UInt64 = Self.issued, secure: Bool = false) -> String {
        var buffer = ByteBuffer(capacity: 128)
        sessions.appendCookie(for: instance, atUnixSeconds: time, isSecure: secure, to: &buffer)
        return String(decoding: buffer.bytes.array(), as: UTF8.self)
    }

    private func pair(_ instance: Int, at time: UInt64 = Self.issued) -> String {
        String(cookie(instance, at: time).prefix { $0 != ";" })
    }

    private func read(_ text: String, _ reader: StickySessions? = nil, at time: UInt64 = Self.issued) -> StickySessions.Reading {
        let bytes = Array(text.utf8)
        return (reader ?? sessions).read(bytes.span.bytes, atUnixSeconds: time)
    }

    @Test func `a session comes back as it was set, among other cookies`() {
        for instance in 0..<3 {
            let text = "theme=dark; \(pair(instance)) ;x=1"
            #expect(read(text) == .session(instance: instance, isAging: false))
        }
    }

    @Test func `the cookie has its attributes, and no address`() {
        #expect(cookie(1).hasSuffix("; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"))
        #expect(cookie(1, secure: true).hasSuffix("; SameSite=Lax; Secure"))
        #expect(pair(1).utf8.count == "sid=".utf8.count + 38)
        #expect(pair(1) != pair(2))
        // The identity is made with the key: another gateway's differs from the eighth byte on already.
        let other = Self.make(key: SipHash.Key(first: 1, second: 2))
        var buffer = ByteBuffer(capacity: 128)
        other.appendCookie(for: 1, atUnixSeconds: Self.issued, isSecure: false, to: &buffer)
        #expect(buffer.bytes.array().prefix(14) != Array(pair(1).utf8).prefix(14))
    }

    @Test func `a forged cookie is none, whichever bit of it was changed`() {
        let good = Array(pair(1).utf8)
        for place in 4..<good.count {
            for other in Array("AB-_9z".utf8) where other != good[place] {
                var forged = good
                forged[place] = other
                #expect(sessions.read(forged.span.bytes, atUnixSeconds: Self.issued) == .none)
            }
        }
        #expect(read(pair(1), Self.make(key: SipHash.Key(first: 1, second: 2))) == .none)
    }

    @Test(arguments: ["", "sid", "sid=", ";;;", "=", "sid=AAAA", "sid=!!", " ; sid = x", "SID=abc", "sidx=1; xsid=2"])
    func `text that is no session is none`(text: String) {
        #expect(read(text) == .none)
        #expect(read(text + "; " + pair(2)) == .session(instance: 2, isAging: false))
    }

    @Test func `a cookie of an instance that is gone, or of another service, is none`() {
        #expect(read(pair(1), Self.make(instances: ["10.0.0.1:80", "10.0.0.3:80"])) == .none)
        #expect(read(pair(2), Self.make(instances: ["10.0.0.3:80", "10.0.0.9:80"])) == .session(instance: 0, isAging: false))
        #expect(read(pair(1), Self.make(service: "orders")) == .none)
    }

    @Test func `a cookie ages, is renewed in time, and expires`() {
        #expect(read(pair(0), at: Self.issued + 359) == .session(instance: 0, isAging: false))
        #expect(read(pair(0), at: Self.issued + 360) == .session(instance: 0, isAging: true))
        #expect(read(pair(0), at: Self.issued + 3599) == .session(instance: 0, isAging: true))
        #expect(read(pair(0), at: Self.issued + 3600) == .none)
        #expect(read(pair(0), at: Self.issued - 86_400) == .session(instance: 0, isAging: true))
    }

    @Test func `a session is kept by its instance until that takes no requests`() {
        var fixture = Fixture(.roundRobin, weights: [1, 1, 0])
        for session in 0..<3 {
            #expect((0..<5).allSatisfy { _ in fixture.pick(Balancer.Request(session: session)) == session })
        }
        fixture.loads[2].drained(at: .seconds(1))
        #expect(fixture.pick(Balancer.Request(session: 2)).map { $0 < 2 } == true)
        fixture.loads[1].healthChanged(to: .degraded, at: .seconds(1))
        #expect(fixture.pick(Balancer.Request(session: 1)) == 1)
        fixture.loads[1].healthChanged(to: .failed, at: .seconds(1))
        #expect(fixture.pick(Balancer.Request(session: 1)) == 0)
        #expect(fixture.pick(Balancer.Request(session: 0), excluding: [0]) == nil)
        #expect(fixture.pick(Balancer.Request(session: 99)) == 0)
    }

    @Test func `SipHash gives the tags of its authors' reference`() {
        let key = SipHash.Key(first: 0x0706_0504_0302_0100, second: 0x0f0e_0d0c_0b0a_0908)
        func hex(_ bytes: [UInt8]) -> String {
            let tag = SipHash.tag(bytes.span.bytes, key: key)
            return [tag.first, tag.second].map { word in
                (0..<8).map { i in
                    let byte = String(word >> UInt64(8 * i) & 255, radix: 16)
                    return byte.count == 1 ? "0" + byte : byte
                }.joined()
            }.joined()
        }
        #expect(hex([]) == "a3817f04ba25a8e66df67214c7550293")
        #expect(hex((0..<15).map { UInt8($0) }) == "5493e99933b0a8117e08ec0f97cfc3d9")
        #expect(hex(Array("sluice cookies!!".utf8)) == "ef6e1280ffa4ff9867fcd3f687924fb8")
    }
}

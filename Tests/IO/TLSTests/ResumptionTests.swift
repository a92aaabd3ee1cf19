import Telemetry
import COpenSSL
import Primitives
import Testing

@testable import TLS

@Suite struct ResumptionTests {
    let fixture = Fixture.shared
    private let start = Instant(nanoseconds: 1_000_000_000)

    private func client(_ version: HandshakeVersion) throws -> TLSClient {
        let client = try fixture.client()
        copenssl_context_versions(client.context, version.number, version.number)
        return client
    }

    @Test(arguments: HandshakeVersion.allCases) func `a session is resumed, also by another worker, and after a reload`(
        version: HandshakeVersion
    ) throws {
        let keys = try TLSTicketKeys(at: start)
        let client = try client(version)
        let kept = TLSResumption()
        let first = try Link(fixture.server { $0.ticketKeys = keys }, client, resumption: kept).open()
        #expect(!first.isResumed)
        #expect(!kept.isEmpty)
        for _ in 0..<3 {
            // Each link has engines and a server of its own.
            let link = try Link(fixture.server { $0.ticketKeys = keys }, client, resumption: kept).open()
            #expect(link.isEstablished)
            #expect(link.isResumed && link.client.isResumed)
            #expect(link.server.alpn == .h2)
            #expect(link.serverName == "a.example")
            #expect(link.clientSends([1, 2, 3]))
            link.carry()
            #expect(link.serverText == [1, 2, 3])
        }
    }

    @Test(arguments: HandshakeVersion.allCases) func `without ticket keys nothing is resumed`(version: HandshakeVersion) throws {
        let client = try client(version)
        let kept = TLSResumption()
        for _ in 0..<2 {
            let link = try Link(fixture.server(), client, resumption: kept).open()
            #expect(link.isEstablished && !link.isResumed)
        }
    }

    // Hardening 137.
    @Test(arguments: HandshakeVersion.allCases)
    func `a ticket works after one rotation, brings one of the new key, and not after two`(version: HandshakeVersion) throws {
        let keys = try TLSTicketKeys(at: start)
        let server = try fixture.server { $0.ticketKeys = keys }
        let client = try client(version)
        let kept = TLSResumption()
        try Link(server, client, resumption: kept).open()
        try keys.rotate(at: start)
        #expect(try Link(server, client, resumption: kept).open().isResumed)
        // The ticket that came with it is of the new key.
        try keys.rotate(at: start)
        #expect(try Link(server, client, resumption: kept).open().isResumed)
        try keys.rotate(at: start)
        try keys.rotate(at: start)
        let late = try Link(server, client, resumption: kept).open()
        #expect(late.isEstablished && !late.isResumed)
    }

    @Test func `an old ticket is not opened when its key has been replaced twice`() throws {  // 137
        let keys = try TLSTicketKeys(at: start)
        let server = try fixture.server { $0.ticketKeys = keys }
        let client = try client(.tls12)
        let kept = TLSResumption()
        try Link(server, client, resumption: kept).open()
        let old = try #require(kept.take())
        defer { SSL_SESSION_free(old) }
        for (rotations, isResumed) in [(0, true), (1, true), (1, false)] {
            for _ in 0..<rotations { try keys.rotate(at: start) }
            let link = try Link(server, client)
            SSL_set_session(link.client.ssl, old)
            link.open()
            #expect(link.isEstablished)
            #expect(link.isResumed == isResumed)
        }
    }

    @Test(arguments: HandshakeVersion.allCases) func `a ticket for one set of names is of no use for another`(
        version: HandshakeVersion
    )
        throws
    {  // 136
        let folder = Folder()
        let keys = try TLSTicketKeys(at: start)
        var options = TLSServer.Options(certificates: [
            fixture.files("a", fixture.leaf, in: folder),
            fixture.files("b", fixture.root.issue("b", names: "DNS:b.example"), in: folder),
        ])
        options.ticketKeys = keys
        let server = try TLSServer(options, at: now)
        let client = try client(version)
        let kept = TLSResumption()
        try Link(server, client, name: "a.example", resumption: kept).open()
        #expect(!kept.isEmpty)
        let link = try Link(server, client, name: "b.example", resumption: kept).open()
        #expect(link.isEstablished && !link.isResumed)
        let back = TLSResumption()
        try Link(server, client, name: "b.example", resumption: back).open()
        #expect(try Link(server, client, name: "b.example", resumption: back).open().isResumed)
    }

    @Test func `keys are replaced when they are old enough`() throws {  // 137
        let keys = try TLSTicketKeys(at: start)
        let age = TimeAmount.seconds(12 * 3600)
        #expect(try keys.rotateIfDue(after: age, at: start + .seconds(12 * 3600 - 1)) == false)
        #expect(keys.snapshot().previous == nil)
        #expect(try keys.rotateIfDue(after: age, at: start + age) == true)
        #expect(keys.snapshot().previous != nil)
        #expect(try keys.rotateIfDue(after: age, at: start + age + age) == true)
    }

    @Test func `many threads may use one server, client and ring at once`() async throws {
        let keys = try TLSTicketKeys(at: start)
        let server = try fixture.server { $0.ticketKeys = keys }
        for version in HandshakeVersion.allCases {
            let client = try client(version)
            let kept = TLSResumption()
            try await withThrowingTaskGroup(of: Int.self) { group in
                for thread in 0..<4 {
                    group.addTask {
                        var resumed = 0
                        for i in 0..<25 {
                            let link = try Link(server, client, resumption: kept).open()
                            #expect(link.isEstablished)
                            #expect(link.clientSends([1]))
                            link.carry()
                            #expect(link.serverText == [1])
                            if link.isResumed { resumed += 1 }
                            if thread == 0, i % 10 == 0 { try keys.rotate(at: start) }
                        }
                        return resumed
                    }
                }
                var resumed = 0
                for try await some in group { resumed += some }
                #expect(resumed > 0)
            }
        }
    }

    @Test func `two policies have different keys from one secret`() throws {  // 136
        let secret = try TicketSecret()
        let first = try #require(secret.key(for: [1]))
        let second = try #require(secret.key(for: [2]))
        let again = try #require(secret.key(for: [1]))
        func bytes(_ key: TicketKey) -> [UInt8] { Array(UnsafeBufferPointer(start: key.keys, count: 64)) }
        #expect(bytes(first) == bytes(again))
        #expect(bytes(first) != bytes(second))
        #expect(first.name.elementsEqual(second.name))
    }

    @Test func `a session that ended without close_notify can be resumed, one that broke its rules need not be`() throws {
        let keys = try TLSTicketKeys(at: start)
        let server = try fixture.server { $0.ticketKeys = keys }
        let client = try client(.tls12)
        let kept = TLSResumption()
        do { try Link(server, client, resumption: kept).open() }
        let link = try Link(server, client, resumption: kept).open()
        #expect(link.client.isResumed)
    }

    @Test func `no more sessions are kept than a few, and those of TLS 1.3 are used once`() throws {
        let keys = try TLSTicketKeys(at: start)
        let server = try fixture.server { $0.ticketKeys = keys }
        let client = try client(.tls13)
        let kept = TLSResumption()
        try Link(server, client, resumption: kept).open()
        var taken: [OpaquePointer] = []
        while let session = kept.take() { taken.append(session) }
        #expect(taken.count == 1)
        #expect(Set(taken).count == taken.count)
        // The same session twice is kept once.
        for session in taken + taken {
            SSL_SESSION_up_ref(session)
            kept.put(session)
        }
        for session in taken { SSL_SESSION_free(session) }
        for _ in 0..<4 { try Link(server, client, resumption: kept).open() }
        var left = 0
        while let session = kept.take() {
            left += 1
            SSL_SESSION_free(session)
        }
        #expect(left >= 1 && left <= 4)
    }
}

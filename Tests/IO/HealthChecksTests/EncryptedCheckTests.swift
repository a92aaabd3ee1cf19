import Configuration
import Health
import Primitives
import Reactor
import TLS
import Testing
import Upstream

@testable import HealthChecks

/// Checks of instances behind `https://`.
@Suite struct EncryptedCheckTests {
    private static let fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
    private let certificates = Certificates.shared

    private func dialect(
        _ http: BackendDialect.HTTP = .http1, trusting: String = "backend", showing: String? = nil,
        name: String = "backend.example"
    ) throws -> BackendDialect {
        let protocols: [TLSProtocol] =
            switch http {
            case .http1: [.http11]
            case .http2: [.h2]
            case .negotiated: [.h2, .http11]
            }
        let client = try certificates.client(protocols, trusting: trusting, showing: showing)
        return BackendDialect(http, tls: client, name: TLSServerName(name))
    }

    /// What a check says of a server that answers well.
    private func verdict(
        _ dialect: BackendDialect, _ server: TLSServer?, check: CheckConfiguration = .get
    ) throws -> CheckJudge.Verdict {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])], check, dialect: dialect)
        let side = try SpeakingSide(bench.connection(to: backend), server)
        return try bench.wait("a verdict") { () -> CheckJudge.Verdict? in
            if let request = side.takeRequest() { side.respond(request, Self.fine, body: [0x6f, 0x6b]) }
            return bench.verdicts.first?.verdict
        }
    }

    @Test func `an https instance is checked inside TLS, and further checks share the session and its connection`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let instance = bench.instance("a", [backend.address])
        bench.watch([instance], dialect: try dialect())
        let side = try SpeakingSide(bench.connection(to: backend), certificates.server())
        for round in 0..<3 {
            let request = try bench.request(on: side)
            #expect(
                request.stream == nil
                    && request.head
                        == "GET /health HTTP/1.1\r\nHost: backend:80\r\nUser-Agent: sluice-health-check\r\nAccept: */*\r\n\r\n"
            )
            side.respond(request, Self.fine, body: [0x6f, 0x6b])
            #expect(try bench.verdict(after: round) == .passed)
        }
        #expect(backend.accept() == nil && bench.loop.keptCount == 1 && instance.health.phase == .healthy)
    }

    @Test func `a certificate of somebody else, for another name or of an untrusted authority fails the check`() throws {
        let server = try certificates.server()
        #expect(try verdict(dialect(), server) == .passed)
        #expect(try verdict(dialect(name: "127.0.0.1"), server) == .passed)
        #expect(try verdict(dialect(name: "elsewhere.example"), server) == .failed(.tlsFailed))
        #expect(try verdict(dialect(trusting: "other"), server) == .failed(.tlsFailed))
        #expect(try verdict(dialect(), certificates.server("other")) == .failed(.tlsFailed))
    }

    @Test func `the certificate of the service is shown to a backend that asks for one`() throws {
        let server = try certificates.server(clientsOf: "gateway")
        #expect(try verdict(dialect(showing: "gateway"), server) == .passed)
        #expect(try verdict(dialect(showing: "other"), server) == .failed(.tlsFailed))
        #expect(try verdict(dialect(), server) == .failed(.tlsFailed))
        #expect(try verdict(dialect(.http2), server) == .failed(.tlsFailed))
    }

    @Test(arguments: ["HTTP/1.1 400 Bad Request\r\n\r\n", "", "\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{28}"])
    func `a backend that does not answer in TLS fails the check as tls_failed`(answer: String) throws {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])], dialect: try dialect())
        let side = try bench.connection(to: backend)
        side.send(answer)
        if answer.isEmpty { side.close() }
        #expect(try bench.verdict() == .failed(.tlsFailed))
        #expect(bench.loop.connections.liveCount == 0)
    }

    @Test func `a backend that says nothing in the handshake has until the check's deadline`() throws {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address], .impatient)], .get, .impatient, dialect: try dialect())
        let side = try bench.connection(to: backend)
        #expect(try bench.verdict() == .failed(.timedOut))
        try bench.ended(side)
    }

    @Test func `the next handshake resumes the session of the last`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let dialect = try dialect()
        let server = try certificates.server(keys: TLSTicketKeys(at: Clock.monotonic))
        bench.watch([bench.instance("a", [backend.address])], dialect: dialect)
        for round in 0..<2 {
            let side = try SpeakingSide(bench.connection(to: backend), server)
            let request = try bench.request(on: side)
            #expect(side.session?.isResumed == (round == 1))
            side.respond(request, Self.fine + "Connection: close\r\n", body: [0x6f, 0x6b])
            #expect(try bench.verdict(after: round) == .passed)
            try bench.ended(side)
        }
    }

    @Test func `plaintext that nobody asked for, and the end of the session, close a kept connection`() throws {
        for says in [true, false] {
            let bench = try Bench()
            let backend = try Backend()
            bench.watch([bench.instance("a", [backend.address], .rare)], .get, .rare, dialect: try dialect())
            let side = try SpeakingSide(bench.connection(to: backend), certificates.server())
            side.respond(try bench.request(on: side), Self.fine, body: [0x6f, 0x6b])
            #expect(try bench.verdict() == .passed && bench.loop.keptCount == 1)
            if says { side.send([0x20]) } else { side.close() }
            try bench.wait("the end of the connection") { bench.loop.connections.liveCount == 0 }
            #expect(bench.loop.keptCount == 0 && bench.verdicts.count == 1)
        }
    }

    @Test func `a TCP check of an https instance only connects`() throws {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])], .tcp, dialect: try dialect())
        let side = try bench.connection(to: backend)
        #expect(try bench.verdict() == .passed)
        try bench.ended(side)
        #expect(side.takeRequest() == nil)
    }

    @Test func `a service that says auto is checked over what the handshake agrees on`() throws {
        let both = [TLSProtocol.h2, .http11]
        for (offered, spoken, isStream) in [(both, both, true), (both, [.http11], false), ([], both, false)] {
            let bench = try Bench()
            let backend = try Backend()
            let client = try certificates.client(offered)
            let dialect = BackendDialect(.negotiated, tls: client, name: TLSServerName("backend.example"))
            bench.watch([bench.instance("a", [backend.address])], dialect: dialect)
            let side = try SpeakingSide(bench.connection(to: backend), certificates.server(protocols: spoken))
            for round in 0..<2 {
                let request = try bench.request(on: side)
                #expect((request.stream != nil) == isStream, "\(offered) \(spoken)")
                side.respond(request, Self.fine, body: [0x6f, 0x6b])
                #expect(try bench.verdict(after: round) == .passed)
            }
        }
    }

    @Test func `a backend that does not agree on HTTP/2 where the service speaks nothing else fails the check`() throws {
        #expect(try verdict(dialect(.http2), certificates.server()) == .passed)
        #expect(try verdict(dialect(.http2), certificates.server(protocols: [.http11])) == .failed(.tlsFailed))
        #expect(try verdict(dialect(.http2), certificates.server(protocols: [])) == .failed(.tlsFailed))
    }

    @Test func `a reload with the same TLS keeps the connection, and one with another certificate checks at once`() throws {
        let bench = try Bench()
        let backend = try Backend()
        let instance = bench.instance("a", [backend.address], .rare)
        var dialect = try dialect()
        bench.watch([instance], .get, .rare, dialect: dialect)
        let side = try SpeakingSide(bench.connection(to: backend), certificates.server())
        side.respond(try bench.request(on: side), Self.fine, body: [0x6f, 0x6b])
        #expect(try bench.verdict() == .passed)
        dialect.resumption = TLSResumption()
        bench.watch([instance], .get, .rare, dialect: dialect)
        bench.nothing {
            side.look()
            return side.isEnded || backend.accept() != nil
        }
        bench.watch([instance], .get, .rare, dialect: try self.dialect(trusting: "other"))
        _ = try bench.connection(to: backend)
        try bench.ended(side)
    }
}

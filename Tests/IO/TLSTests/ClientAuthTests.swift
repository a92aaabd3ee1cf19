import COpenSSL
import Primitives
import Telemetry
import Testing

@testable import TLS

@Suite struct ClientAuthTests {
    let fixture = Fixture.shared
    let folder = Folder()

    private func client(_ leaf: Leaf?, _ version: HandshakeVersion = .tls13) throws -> TLSClient {
        let client = try fixture.client {
            guard let leaf else { return }
            $0.certificateFile = folder.write("client.pem", leaf.pem)
            $0.keyFile = folder.write("client.key", leaf.keyPEM)
        }
        copenssl_context_versions(client.context, version.number, version.number)
        return client
    }

    private func server(_ mode: TLSClientAuth.Mode = .require, depth: Int = 4, crl: String? = nil) throws -> TLSServer {
        try fixture.server {
            $0.clientAuth = TLSClientAuth(mode: mode, caFile: fixture.caFile, depth: depth, crlFile: crl)
            $0.ticketKeys = try TLSTicketKeys(at: Instant(nanoseconds: 0))
        }
    }

    @Test(arguments: HandshakeVersion.allCases) func `a good certificate is let in, and says who it is`(version: HandshakeVersion)
        throws
    {
        let leaf = fixture.root.issue(
            "someone, \"quoted\" ü", names: "DNS:c.example,URI:spiffe://x/y,email:c@c.example,IP:192.0.2.7", usage: "clientAuth")
        let link = try Link(server(), client(leaf, version)).open()
        #expect(link.isEstablished)
        let identity = try #require(link.server.peerIdentity)
        #expect(identity.subject == "CN=someone\\, \\\"quoted\\\" \\C3\\BC")
        #expect(identity.alternativeNames == ["DNS:c.example", "URI:spiffe://x/y", "email:c@c.example", "IP:192.0.2.7"])
        #expect(identity.fingerprint.count == 64)
        #expect(identity.der.first == 0x30 && identity.der.count > 100)
        #expect(identity.fingerprint == CertificateText.hexadecimal(identity.der.withUnsafeBytes { Digest.sha256($0) }))
        #expect(link.client.peerIdentity?.alternativeNames.first == "DNS:a.example")
    }

    @Test(arguments: HandshakeVersion.allCases)
    func `no certificate is refused where one is required, and let in where it is asked for`(
        version: HandshakeVersion
    ) throws {  // 135
        let refused = try Link(server(), client(nil, version)).open()
        #expect(refused.serverFailure == .clientCertificateMissing)
        #expect(!refused.server.isEstablished)
        #expect(refused.clientFailure == .alertFromPeer)
        let asked = try Link(server(.request), client(nil, version)).open()
        #expect(asked.isEstablished)
        #expect(asked.server.peerIdentity == nil)
    }

    // Hardening 135.
    @Test(arguments: HandshakeVersion.allCases, [TLSClientAuth.Mode.require, .request])
    func `a bad certificate is refused for what is wrong with it`(version: HandshakeVersion, mode: TLSClientAuth.Mode) throws {
        let server = try server(mode)
        let cases: [(Leaf, HandshakeFault)] = [
            (fixture.root.issue("expired", days: -20 ... -10), .clientCertificateExpired),
            (fixture.root.issue("of tomorrow", days: 1...10), .clientCertificateExpired),
            (fixture.other.issue("stranger"), .clientCertificateUntrusted),
            (fixture.root.issue("a server", usage: "serverAuth"), .clientCertificateInvalid),
        ]
        for (leaf, failure) in cases {
            let link = try Link(server, client(leaf, version)).open()
            #expect(link.serverFailure == failure)
            #expect(!link.server.isEstablished)
            #expect(link.server.peerIdentity == nil)
            #expect(link.serverText.isEmpty)
            #expect(!link.serverEngine.failureText.isEmpty)
        }
    }

    @Test func `a revoked certificate is refused, and so is any when the list is too old`() throws {  // 135
        let good = fixture.root.issue("good")
        let bad = fixture.root.issue("bad")
        let list = folder.write("list.pem", fixture.root.revocations(of: [bad]))
        let server = try server(crl: list)
        #expect(server.warnings.isEmpty)
        #expect(try Link(server, client(good)).open().isEstablished)
        #expect(try Link(server, client(bad)).open().serverFailure == .clientCertificateRevoked)
        let old = try self.server(crl: folder.write("old.pem", fixture.root.revocations(of: [], days: -1)))
        #expect(old.warnings.contains { $0.description.contains("too old") })
        #expect(try Link(old, client(good)).open().serverFailure == .clientCertificateInvalid)
        let foreign = try self.server(crl: folder.write("foreign.pem", fixture.other.revocations(of: [])))
        #expect(try Link(foreign, client(good)).open().serverFailure == .clientCertificateInvalid)
    }

    @Test func `the authorities between are looked up in the revocation lists too`() throws {  // 135
        let middle = Authority("Middle", parent: fixture.root)
        let leaf = middle.issue("below")
        let client = try fixture.client {
            $0.certificateFile = folder.write("below.pem", leaf.pem + middle.pem)
            $0.keyFile = folder.write("below.key", leaf.keyPEM)
        }
        let own = middle.revocations(of: [])
        let revoked = Leaf(certificate: middle.certificate, key: middle.key)
        X509_up_ref(middle.certificate)
        EVP_PKEY_up_ref(middle.key)
        let cases: [(String, HandshakeFault?)] = [
            (own, .clientCertificateInvalid), (own + fixture.root.revocations(of: []), nil),
            (own + fixture.root.revocations(of: [revoked]), .clientCertificateRevoked),
        ]
        for (lists, failure) in cases {
            let link = try Link(server(crl: folder.write("lists.pem", lists)), client).open()
            #expect(link.serverFailure == failure)
            #expect(link.server.isEstablished == (failure == nil))
        }
    }

    @Test func `a chain longer than its depth is refused`() throws {  // 135
        let first = Authority("First", parent: fixture.root)
        let second = Authority("Second", parent: first)
        let leaf = second.issue("deep")
        let file = folder.write("deep.pem", leaf.pem + second.pem + first.pem)
        let key = folder.write("deep.key", leaf.keyPEM)
        for (depth, isIn) in [(1, false), (2, true)] {
            let client = try fixture.client {
                $0.certificateFile = file
                $0.keyFile = key
            }
            let link = try Link(server(depth: depth), client).open()
            #expect(link.isEstablished == isIn)
            if !isIn { #expect(link.serverFailure == .clientCertificateInvalid) }
        }
    }

    @Test func `an authority between the root and the client may be trusted by itself`() throws {
        let middle = Authority("Middle", parent: fixture.root)
        let server = try fixture.server {
            $0.clientAuth = TLSClientAuth(mode: .require, caFile: folder.write("middle.pem", middle.pem))
        }
        #expect(try Link(server, client(middle.issue("below"))).open().isEstablished)
        #expect(try Link(server, client(fixture.root.issue("beside"))).open().serverFailure == .clientCertificateUntrusted)
    }

    @Test func `an authority file that is missing, empty or malformed is an error`() throws {  // 135
        let half = String(fixture.root.pem.dropLast(100))
        let cases: [(String, String)] = [
            ("\(folder.path)/none.pem", "cannot be read"), (folder.write("empty.pem", ""), "no certificate"),
            (folder.write("text.pem", "hello"), "no certificate"), (folder.write("half.pem", half), "cannot be read"),
            (folder.write("second.pem", fixture.root.pem + half), "certificate 2"), (folder.path, "not a regular file"),
        ]
        for (file, words) in cases {
            let error = #expect(throws: TLSLoadError.self) {
                try fixture.server { $0.clientAuth = TLSClientAuth(mode: .require, caFile: file) }
            }
            #expect(error?.file == file)
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
        let list = #expect(throws: TLSLoadError.self) { try server(crl: folder.write("nolist.pem", fixture.root.pem)) }
        #expect(list?.problem.contains("no X509 CRL") == true)
    }

    @Test func `bytes that are no text stay visible in an identity`() throws {
        // SEQUENCE { dNSName "a\0b", uniformResourceIdentifier "u\nü" }
        let names: [UInt8] = [0x30, 11, 0x82, 3, 0x61, 0, 0x62, 0x86, 4, 0x75, 0x0a, 0xc3, 0xbc]
        let link = try Link(server(), client(fixture.root.issue("odd", rawNames: names))).open()
        #expect(link.server.peerIdentity?.alternativeNames == ["DNS:a\\x00b", "URI:u\\x0a\\xc3\\xbc"])
    }

    // MARK: several policies

    /// `open.example` asks nothing, `closed.example` requires a certificate.
    private func mixed(_ keys: TLSTicketKeys? = nil) throws -> TLSServer {
        var options = TLSServer.Options(certificates: [
            fixture.files("open", fixture.root.issue("open", names: "DNS:open.example"), in: folder),
            fixture.files(
                "closed", fixture.root.issue("closed", names: "DNS:closed.example"), in: folder,
                clientAuth: TLSClientAuth(mode: .require, caFile: fixture.caFile)),
            fixture.files("second", fixture.root.issue("second", names: "DNS:second.example"), in: folder),
        ])
        options.ticketKeys = keys
        return try TLSServer(options, at: now)
    }

    @Test(arguments: HandshakeVersion.allCases) func `each name has its own policy on clients' certificates`(
        version: HandshakeVersion
    ) throws {
        let server = try mixed()
        #expect(try Link(server, client(nil, version), name: "open.example").open().isEstablished)
        #expect(try Link(server, client(nil, version), name: "closed.example").open().serverFailure == .clientCertificateMissing)
        #expect(try Link(server, client(nil, version), name: "CLOSED.example").open().serverFailure == .clientCertificateMissing)
        let known = try Link(server, client(fixture.root.issue("c"), version), name: "closed.example").open()
        #expect(known.isEstablished)
        #expect(known.server.peerIdentity?.subject == "CN=c")
        let stranger = try Link(server, client(fixture.other.issue("c"), version), name: "closed.example").open()
        #expect(stranger.serverFailure == .clientCertificateUntrusted)
    }

    @Test func `the depth of a name's own policy counts, and so do its authorities`() throws {
        let first = Authority("First", parent: fixture.root)
        let second = Authority("Second", parent: first)
        let leaf = second.issue("deep")
        let client = try fixture.client {
            $0.certificateFile = folder.write("deep.pem", leaf.pem + second.pem + first.pem)
            $0.keyFile = folder.write("deep.key", leaf.keyPEM)
        }
        for (depth, isIn) in [(1, false), (2, true)] {
            let options = TLSServer.Options(certificates: [
                fixture.files("open", fixture.root.issue("open", names: "DNS:open.example"), in: folder),
                fixture.files(
                    "closed", fixture.root.issue("closed", names: "DNS:closed.example"), in: folder,
                    clientAuth: TLSClientAuth(mode: .require, caFile: fixture.caFile, depth: depth)),
            ])
            let link = try Link(TLSServer(options, at: now), client, name: "closed.example").open()
            #expect(link.isEstablished == isIn)
        }
    }

    @Test func `sessions are bound to the policy as well as to the names`() throws {  // 136
        let auths: [TLSClientAuth?] = [
            nil, TLSClientAuth(mode: .require, caFile: fixture.caFile), TLSClientAuth(mode: .request, caFile: fixture.caFile),
            TLSClientAuth(mode: .require, caFile: fixture.otherCAFile),
            TLSClientAuth(mode: .require, caFile: fixture.caFile, depth: 1),
            TLSClientAuth(
                mode: .require, caFile: fixture.caFile, crlFile: folder.write("l.pem", fixture.root.revocations(of: []))),
        ]
        let servers = try auths.map { auth in try fixture.server { $0.clientAuth = auth } }
        #expect(Set(servers.map { $0.contexts[0].identity }).count == auths.count)
        #expect(Set(servers.map { $0.contexts[0].policyID }).count == auths.count)
        #expect(servers[0].contexts[0].policyID == 0)
    }

    @Test func `a host whose policy is another than the session's is told apart`() throws {  // 134
        let server = try mixed()
        #expect(server.hasSeveralPolicies)
        func policy(_ host: String) -> UInt32 { server.policy(forHost: Array(host.utf8).span.bytes) }
        #expect(policy("open.example") == 0)
        #expect(policy("closed.example") != 0)
        for spelling in ["CLOSED.example", "closed.example:8443", "closed.example.", "Closed.Example.:1"] {
            #expect(policy(spelling) == policy("closed.example"))
        }
        #expect(policy("second.example") == 0 && policy("unknown.example") == 0 && policy("") == 0 && policy(":") == 0)
        func mayServe(_ link: Link, _ host: String) -> Bool { link.server.mayServe(host: Array(host.utf8).span.bytes) }
        let link = try Link(server, client(nil), name: "open.example").open()
        #expect(link.server.policyID == 0)
        #expect(mayServe(link, "second.example"))
        #expect(!mayServe(link, "closed.example"))
        let closed = try Link(server, client(fixture.root.issue("c")), name: "closed.example").open()
        #expect(closed.server.policyID == policy("closed.example"))
        #expect(mayServe(closed, "closed.example:8443"))
        #expect(!mayServe(closed, "open.example"))
    }

    @Test func `two certificates for one name that ask different things of clients are an error`() throws {
        let options = TLSServer.Options(certificates: [
            fixture.files("p", fixture.root.issue("p", names: "DNS:p.example"), in: folder),
            fixture.files(
                "q", fixture.root.issue("q", names: "DNS:p.example", key: .rsa), in: folder,
                clientAuth: TLSClientAuth(mode: .require, caFile: fixture.caFile)),
        ])
        let error = #expect(throws: TLSLoadError.self) { try TLSServer(options, at: now) }
        #expect(error?.description.contains("p.example") == true)
    }

    // MARK: resumption

    @Test(arguments: HandshakeVersion.allCases, [TLSClientAuth.Mode.require, .request])
    func `nothing is resumed where clients' certificates are asked for`(version: HandshakeVersion, mode: TLSClientAuth.Mode)
        throws
    {
        // 136
        let server = try server(mode)
        let client = try client(fixture.root.issue("c"), version)
        let kept = TLSResumption()
        for _ in 0..<2 {
            let link = try Link(server, client, resumption: kept).open()
            #expect(link.isEstablished && !link.isResumed)
        }
        while let session = kept.take() {
            #expect(SSL_SESSION_has_ticket(session) == 0)
            SSL_SESSION_free(session)
        }
    }

    @Test(arguments: HandshakeVersion.allCases)
    func `a session of an open name cannot be resumed on a closed one`(version: HandshakeVersion) throws {  // 136
        let keys = try TLSTicketKeys(at: Instant(nanoseconds: 0))
        let server = try mixed(keys)
        let client = try client(nil, version)
        let kept = TLSResumption()
        try Link(server, client, name: "open.example", resumption: kept).open()
        #expect(!kept.isEmpty)
        let link = try Link(server, client, name: "closed.example", resumption: kept).open()
        #expect(link.serverFailure == .clientCertificateMissing)
        #expect(!link.server.isEstablished)
        // Nor one of a listener without such a rule on one with it, though both have the same certificate and the same keys.
        let open = try fixture.server { $0.ticketKeys = keys }
        let closed = try fixture.server {
            $0.ticketKeys = keys
            $0.clientAuth = TLSClientAuth(mode: .require, caFile: fixture.caFile)
        }
        let other = TLSResumption()
        try Link(open, client, resumption: other).open()
        #expect(!other.isEmpty)
        #expect(try Link(closed, client, resumption: other).open().serverFailure == .clientCertificateMissing)
    }
}

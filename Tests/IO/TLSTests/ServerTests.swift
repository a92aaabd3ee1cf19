import Telemetry
import COpenSSL
import Primitives
import Testing

@testable import TLS

@Suite struct ServerTests {
    let fixture = Fixture.shared

    private func text(_ bytes: UnsafeRawBufferPointer?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    /// The certificate that a client was shown.
    private func shown(_ link: Link) -> [String] { link.client.peerIdentity?.alternativeNames ?? [] }

    // MARK: ALPN

    @Test(arguments: [
        ([TLSProtocol.h2, .http11], [TLSProtocol.h2, .http11], TLSProtocol.h2),
        ([.h2, .http11], [.http11, .h2], .h2),
        ([.http11, .h2], [.h2, .http11], .http11),
        ([.h2, .http11], [.http11], .http11),
        ([.http11], [.h2, .http11], .http11),
        ([.h2, .http11], [], .none),
    ]) func `the server's order of protocols counts`(ours: [TLSProtocol], theirs: [TLSProtocol], chosen: TLSProtocol) throws {
        // 133
        let link = try Link(fixture.server { $0.protocols = ours }, fixture.client { $0.protocols = theirs }).open()
        #expect(link.isEstablished)
        #expect(link.server.alpn == chosen && link.client.alpn == chosen)
    }

    @Test(arguments: ["\u{3}foo", "\u{2}h3\u{8}http/1.0", "\u{2}H2"])
    func `a client that offers only what nobody here speaks gets no_application_protocol`(offer: String) throws {  // 133
        let client = try fixture.client()
        let bytes = Array(offer.utf8)
        SSL_CTX_set_alpn_protos(client.context, bytes, UInt32(bytes.count))
        let link = try Link(fixture.server(), client).open()
        #expect(link.serverFailure == .noSharedProtocol)
        #expect(link.clientFailure == .alertFromPeer)
        #expect(link.clientEngine.failureText.contains("no application protocol"))
    }

    @Test func `a malformed list of protocols offers nothing`() {  // 133
        for list: [UInt8] in [[], [0], [0, 2], [3, 104, 50], [2, 104, 50, 9], [2, 104, 50, 0], [200]] {
            #expect(list.withUnsafeBytes { TLSProtocol.choose([.h2, .http11], from: $0) } == nil)
        }
        let good: [UInt8] = [3, 102, 111, 111, 2, 104, 50]
        #expect(good.withUnsafeBytes { TLSProtocol.choose([.http11, .h2], from: $0) } == 5..<7)
    }

    @Test func `a server that chooses a protocol that was not offered is refused`() throws {
        let client = try fixture.client { $0.protocols = [.http11] }
        let both = TLSProtocol.list([.h2, .http11])
        SSL_CTX_set_alpn_protos(client.context, both, UInt32(both.count))
        let link = try Link(fixture.server(), client).open()
        #expect(link.clientFailure == .noSharedProtocol)
        #expect(!link.client.isEstablished)
    }

    // MARK: names

    /// One certificate for each name, the first for all others.
    private func named(strict: Bool, _ names: [String]) throws -> (TLSServer, Folder) {
        let folder = Folder()
        var options = TLSServer.Options(
            certificates: names.enumerated().map { i, name in
                fixture.files("c\(i)", fixture.root.issue("c\(i)", names: "DNS:\(name)"), in: folder)
            })
        options.strictSNI = strict
        return (try TLSServer(options, at: now), folder)
    }

    @Test(arguments: [
        ("one.example", "DNS:one.example"), ("two.example", "DNS:two.example"), ("TWO.Example", "DNS:two.example"),
        ("x.wild.example", "DNS:*.wild.example"), ("exact.wild.example", "DNS:exact.wild.example"),
        ("wild.example", "DNS:one.example"), ("x.y.wild.example", "DNS:one.example"), ("other.example", "DNS:one.example"),
        ("xtwo.example", "DNS:one.example"), ("192.0.2.1", "DNS:one.example"),
    ]) func `the server name chooses the certificate`(name: String, certificate: String) throws {  // 134
        let (server, folder) = try named(
            strict: false, ["one.example", "two.example", "*.wild.example", "exact.wild.example"])
        let client = try fixture.client()
        // The name need not be the certificate's here: the handshake must only show which was chosen.
        SSL_CTX_set_verify(client.context, SSL_VERIFY_PEER, { _, _ in 1 })
        let link = try Link(server, client, name: name).open()
        #expect(link.isEstablished)
        let shown = SSL_get0_peer_certificate(link.client.ssl).map { CertificateText.alternativeNames($0) }
        #expect(shown == [certificate])
        // A certificate that did not prove anything identifies nobody.
        if certificate == "DNS:one.example", name != "one.example" { #expect(link.client.peerIdentity == nil) }
        withExtendedLifetime(folder) {}
    }

    @Test(arguments: ["other.example", "x.y.wild.example", "192.0.2.1"])
    func `where names are strict, one that is unknown or missing is refused with unrecognized_name`(name: String) throws {  // 134
        let (server, folder) = try named(strict: true, ["one.example", "*.wild.example"])
        let link = try Link(server, fixture.client(), name: name).open()
        #expect(link.serverFailure == .unknownName)
        #expect(link.clientFailure == .alertFromPeer)
        #expect(link.clientEngine.failureText.contains("unrecognized name"))
        let good = try Link(server, fixture.client(), name: "x.wild.example").open()
        #expect(good.isEstablished)
        withExtendedLifetime(folder) {}
    }

    @Test func `one certificate may be strict too`() throws {
        let server = try fixture.server { $0.strictSNI = true }
        #expect(try Link(server, fixture.client()).open().isEstablished)
        let link = try Link(server, fixture.client(), name: "b.example").open()
        #expect(link.serverFailure == .unknownName)
    }

    @Test func `names that are given take the place of those in the certificate`() throws {
        let folder = Folder()
        var first = fixture.files("one", fixture.root.issue("one", names: "DNS:one.example"), in: folder)
        let second = fixture.files("two", fixture.root.issue("two", names: "DNS:two.example"), in: folder)
        first.names = ["One.Example", "*.more.example"]
        var options = TLSServer.Options(certificates: [second, first])
        let server = try TLSServer(options, at: now)
        #expect(try Link(server, fixture.client(), name: "one.example").open().isEstablished)
        options.certificates[1].names = ["not a name"]
        #expect(throws: TLSLoadError.self) { try TLSServer(options, at: now) }
    }

    @Test func `a NUL in a certificate's name does not cut it short`() {
        #expect(ServerNames.canonical(Array("good.example\0.evil.example".utf8)) == nil)
        #expect(ServerNames.canonical(Array("GOOD.example.".utf8)) == Array("good.example".utf8))
        for bad in ["", ".", "a..b", "*", "a.*.b", "a b.example", String(repeating: "a", count: 64) + ".b", "ä.example"] {
            #expect(ServerNames.canonical(Array(bad.utf8)) == nil)
        }
    }

    // MARK: RSA and ECDSA

    private var onlyRSA: String { "RSA+SHA256:RSA-PSS+SHA256" }
    private var onlyECDSA: String { "ECDSA+SHA256" }

    @Test func `RSA and ECDSA stand side by side for one name, whichever the client can read`() throws {
        let folder = Folder()
        let options = TLSServer.Options(certificates: [
            fixture.files("rsa", fixture.root.issue("rsa", names: "DNS:a.example", key: .rsa), in: folder),
            fixture.files("ec", fixture.root.issue("ec", names: "DNS:a.example"), in: folder),
        ])
        let server = try TLSServer(options, at: now)
        #expect(server.contexts.count == 1)
        for version in HandshakeVersion.allCases {
            for (algorithms, subject) in [(onlyRSA, "CN=rsa"), (onlyECDSA, "CN=ec")] {
                let client = try fixture.client()
                copenssl_context_versions(client.context, version.number, version.number)
                let link = try Link(server, client)
                #expect(copenssl_set_signature_algorithms(link.client.ssl, algorithms) == 1)
                link.open()
                #expect(link.client.peerIdentity?.subject == subject)
            }
        }
    }

    @Test func `certificates that share some of their names are both chosen for those alone`() throws {
        let folder = Folder()
        let options = TLSServer.Options(certificates: [
            fixture.files("rsa", fixture.root.issue("rsa", names: "DNS:a.example,DNS:b.example", key: .rsa), in: folder),
            fixture.files("ec", fixture.root.issue("ec", names: "DNS:a.example,DNS:c.example"), in: folder),
        ])
        let server = try TLSServer(options, at: now)
        #expect(server.contexts.count == 3)
        for (name, subject) in [("a.example", "CN=ec"), ("b.example", "CN=rsa"), ("c.example", "CN=ec")] {
            let client = try fixture.client()
            let link = try Link(server, client, name: name)
            #expect(copenssl_set_signature_algorithms(link.client.ssl, onlyECDSA + ":" + onlyRSA) == 1)
            link.open()
            #expect(link.client.peerIdentity?.subject == subject)
        }
    }

    @Test func `of two certificates with the same names and kind of key the first is shown, and a warning names the other`()
        throws
    {
        let folder = Folder()
        let server = try TLSServer(
            .init(certificates: [
                fixture.files("first", fixture.root.issue("first", names: "DNS:a.example"), in: folder),
                fixture.files("second", fixture.root.issue("second", names: "DNS:a.example"), in: folder),
            ]), at: now)
        #expect(try Link(server, fixture.client()).open().clientsPeer?.subject == "CN=first")
        #expect(server.warnings.contains { $0.file.hasSuffix("second.pem") && $0.problem.contains("never used") })
    }

    @Test func `certificates without names stand together only where they ask the same of clients`() throws {
        let folder = Folder()
        let nameless = fixture.root.issue("nameless", names: "IP:192.0.2.1")
        let other = fixture.root.issue("other", names: "IP:192.0.2.1", key: .rsa)
        let auth = TLSClientAuth(mode: .require, caFile: fixture.caFile)
        for (clientAuth, named, count) in [(auth, false, 1), (nil, true, 1), (nil, false, 2)] as [(TLSClientAuth?, Bool, Int)] {
            let second = named ? fixture.root.issue("named", names: "DNS:b.example", key: .rsa) : other
            let server = try TLSServer(
                .init(certificates: [
                    fixture.files("n", nameless, in: folder), fixture.files("o", second, in: folder, clientAuth: clientAuth),
                ]), at: now)
            // What a client sees that can read RSA only.
            let link = try Link(server, fixture.client(), name: "192.0.2.1")
            #expect(copenssl_set_signature_algorithms(link.client.ssl, onlyRSA) == 1)
            link.open()
            #expect(link.isEstablished == (count == 2))
        }
    }

    // MARK: versions and ciphers

    @Test func `a client that is too old is told so`() throws {  // 132
        let client = try fixture.client()
        copenssl_context_versions(client.context, TLS1_2_VERSION, TLS1_2_VERSION)
        let link = try Link(fixture.server { $0.minimumVersion = .tls13 }, client).open()
        #expect(link.serverFailure == .noSharedVersion)
        SSL_CTX_set_security_level(client.context, 0)
        copenssl_context_versions(client.context, TLS1_VERSION, TLS1_1_VERSION)
        SSL_CTX_set_cipher_list(client.context, "ALL:@SECLEVEL=0")
        let older = try Link(fixture.server(), client).open()
        #expect(older.serverFailure == .noSharedVersion)
    }

    @Test(arguments: [
        "AES128-GCM-SHA256", "AES256-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-CCM8", "ECDHE-ECDSA-ARIA128-GCM-SHA256",
    ]) func `suites without forward secrecy or authenticated encryption are refused`(suite: String) throws {  // 101, 132
        let client = try fixture.client()
        copenssl_context_versions(client.context, TLS1_2_VERSION, TLS1_2_VERSION)
        SSL_CTX_set_security_level(client.context, 0)
        #expect(SSL_CTX_set_cipher_list(client.context, suite + ":@SECLEVEL=0") == 1)
        let link = try Link(fixture.server(), client).open()
        #expect(link.serverFailure == .noSharedCipher)
    }

    @Test func `compression, renegotiation and early data are off`() throws {  // 101, 132
        let server = try fixture.server()
        let client = try fixture.client()
        for context in [server.contexts[0].context, client.context] {
            let options = SSL_CTX_get_options(context)
            #expect(options & copenssl_option_no_compression != 0)
            #expect(options & copenssl_option_no_renegotiation != 0)
            #expect(SSL_CTX_get_max_early_data(context) == 0)
        }
        withExtendedLifetime((server, client)) {}
    }

    // MARK: OCSP

    /// Builds a server with this response; the certificate's file holds its issuer too unless asked otherwise.
    private func stapled(_ response: (Authority, Leaf) -> [UInt8], withIssuer: Bool = true) throws -> (TLSServer, [UInt8], Folder)
    {
        let folder = Folder()
        let leaf = fixture.root.issue("stapled", names: "DNS:a.example")
        let bytes = response(fixture.root, leaf)
        let options = TLSServer.Options(certificates: [
            TLSServer.CertificateFiles(
                certificateFile: folder.write("s.pem", leaf.pem + (withIssuer ? fixture.root.pem : "")),
                keyFile: folder.write("s.key", leaf.keyPEM), ocspFile: folder.write("s.ocsp", bytes))
        ])
        return (try TLSServer(options, at: now), bytes, folder)
    }

    /// What a client that asks for it is told.
    private func staple(of server: TLSServer) throws -> [UInt8] {
        let link = try Link(server, fixture.client())
        #expect(copenssl_ask_status(link.client.ssl) == 1)
        link.open()
        #expect(link.isEstablished)
        var start: UnsafeMutablePointer<UInt8>?
        let count = copenssl_told_status(link.client.ssl, &start)
        return count > 0 ? Array(UnsafeBufferPointer(start: start, count: count)) : []
    }

    @Test func `a good OCSP response is handed to clients that ask`() throws {
        let (server, bytes, _) = try stapled { $0.status(of: $1) }
        #expect(server.warnings.isEmpty)
        #expect(try staple(of: server) == bytes)
        let context = server.contexts[0]
        let leaf = SSL_CTX_get0_certificate(context.context)
        #expect(context.staple(for: leaf, at: now + 86_000) == bytes)
        // It is too old by then, though the server runs on.
        #expect(context.staple(for: leaf, at: now + 87_000) == nil)
    }

    @Test func `an OCSP response that would do harm is not handed out, and a warning says why`() throws {
        let other = fixture.root.issue("another", names: "DNS:a.example")
        let cases: [(String, Bool, (Authority, Leaf) -> [UInt8])] = [
            ("too old", true, { $0.status(of: $1, until: -600) }),
            ("another certificate", true, { root, _ in root.status(of: other) }),
            ("is revoked", true, { $0.status(of: $1, V_OCSP_CERTSTATUS_REVOKED) }),
            ("signature is wrong", true, { [other = fixture.other] in $0.status(of: $1, signedBy: other) }),
            ("no OCSP response", true, { _, _ in Array("nonsense".utf8) }),
            ("put the issuer's certificate", false, { $0.status(of: $1) }),
        ]
        for (words, withIssuer, response) in cases {
            let (server, _, _) = try stapled(response, withIssuer: withIssuer)
            #expect(server.warnings.contains { $0.description.contains(words) }, "\(words): \(server.warnings)")
            #expect(try staple(of: server).isEmpty)
        }
    }
}

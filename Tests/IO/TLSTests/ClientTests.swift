import COpenSSL
import Telemetry
import Testing

@testable import TLS

@Suite struct ClientTests {
    let fixture = Fixture.shared
    let folder = Folder()

    private func server(_ leaf: Leaf, above: String = "") throws -> TLSServer {
        let options = TLSServer.Options(certificates: [
            .init(certificateFile: folder.write("s.pem", leaf.pem + above), keyFile: folder.write("s.key", leaf.keyPEM))
        ])
        return try TLSServer(options, at: now)
    }

    @Test(arguments: [
        ("a.example", true), ("A.EXAMPLE", true), ("a.example.", true), ("b.example", false), ("x.wild.example", true),
        ("wild.example", false), ("x.y.wild.example", false), ("192.0.2.1", true), ("192.0.2.2", false), ("[2001:db8::1]", true),
        ("2001:db8::2", false), ("aa.example", false), ("a.example.evil", false),
    ]) func `the server must have the name that was asked for`(name: String, isGood: Bool) throws {  // 139
        let link = try Link(fixture.server(), fixture.client(), name: name).open()
        #expect(link.client.isEstablished == isGood)
        #expect(link.clientFailure == (isGood ? nil : .certificateNameMismatch))
        if !isGood { #expect(link.serverFailure == .alertFromPeer) }
    }

    @Test func `an exact certificate is believed whatever it says, and no other, whoever issued it`() throws {
        let old = fixture.root.issue("old", names: "DNS:b.example", days: -20 ... -10)
        let file = folder.write("exact.pem", old.pem + fixture.root.pem)
        func link(_ leaf: Leaf, name: String?) throws -> Link {
            var options = TLSClient.Options()
            options.exactFiles = [file]
            return try Link(server(leaf, above: fixture.root.pem), TLSClient(options, at: now), name: name).open()
        }
        for name in ["a.example", nil] {
            let good = try link(old, name: name)
            #expect(good.isEstablished && good.clientFailure == nil)
            let other = try link(fixture.root.issue("other", names: "DNS:b.example"), name: name)
            #expect(other.clientFailure == .certificateUntrusted && other.serverFailure == .alertFromPeer)
        }
    }

    @Test func `a session may offer one protocol in the place of its client's`() throws {
        for (offered, spoken, result) in [
            (TLSProtocol.h2, [TLSProtocol.http11, .h2], TLSProtocol.h2), (.http11, [.h2, .http11], .http11),
        ] {
            let server = try fixture.server { $0.protocols = spoken }
            let client = try fixture.client { $0.protocols = [offered == .h2 ? .http11 : .h2] }
            let link = try Link(server, client, offering: offered).open()
            #expect(withExtendedLifetime(link) { link.client.alpn } == result)
        }
    }

    @Test func `an address is never sent as a server name`() throws {
        let link = try Link(fixture.server(), fixture.client(), name: "192.0.2.1").open()
        #expect(link.serverName == nil)
        #expect(try Link(fixture.server(), fixture.client()).open().serverName != nil)
    }

    @Test func `a certificate that is expired, foreign or self-signed is refused`() throws {  // 139
        let names = "DNS:a.example"
        let cases: [(Leaf, HandshakeFault)] = [
            (fixture.root.issue("old", names: names, days: -20 ... -10), .certificateExpired),
            (fixture.other.issue("foreign", names: names), .certificateUntrusted),
            (Leaf(certificate: retained(fixture.other.certificate), key: retainedKey(fixture.other.key)), .certificateUntrusted),
            (fixture.root.issue("a client", names: names, usage: "clientAuth"), .certificateInvalid),
        ]
        for (leaf, failure) in cases {
            let link = try Link(server(leaf), fixture.client()).open()
            #expect(link.clientFailure == failure)
            #expect(!link.client.isEstablished)
            #expect(!link.clientSends([1]))
        }
    }

    private func retained(_ certificate: OpaquePointer) -> OpaquePointer {
        X509_up_ref(certificate)
        return certificate
    }

    private func retainedKey(_ key: OpaquePointer) -> OpaquePointer {
        EVP_PKEY_up_ref(key)
        return key
    }

    @Test func `the common name counts for nothing`() throws {  // 139
        let link = try Link(server(fixture.root.issue("a.example", names: "DNS:b.example")), fixture.client()).open()
        #expect(link.clientFailure == .certificateNameMismatch)
        let none = try Link(server(fixture.root.issue("a.example")), fixture.client()).open()
        #expect(none.clientFailure == .certificateNameMismatch)
    }

    @Test func `a NUL in a name does not cut it short`() throws {  // 139
        // SEQUENCE { dNSName "a.example\0.evil" }
        let name = Array("a.example\0.evil".utf8)
        let names = [0x30, UInt8(name.count + 2), 0x82, UInt8(name.count)] + name
        let link = try Link(server(fixture.root.issue("evil", rawNames: names)), fixture.client()).open()
        #expect(link.clientFailure != nil)
        #expect(!link.client.isEstablished)
        #expect(TLSServerName("a.example\0.evil") == nil)
        #expect(TLSServerName("") == nil && TLSServerName("*.example") == nil && TLSServerName("a b") == nil)
    }

    @Test func `a wildcard in part of a label matches nothing`() throws {
        let leaf = fixture.root.issue("partial", names: "DNS:x*.wild.example")
        let link = try Link(server(leaf), fixture.client(), name: "xy.wild.example").open()
        #expect(link.clientFailure == .certificateNameMismatch)
    }

    @Test func `without verification anything is accepted, and with it a name is needed`() throws {
        let blind = try fixture.client { $0.verifies = false }
        let link = try Link(server(fixture.other.issue("foreign", names: "DNS:else.example")), blind, name: nil).open()
        #expect(link.isEstablished)
        #expect(link.client.peerIdentity == nil)
        // Not even one that would have passed, since nobody asked whether its name is right.
        let knowing = try fixture.client {
            $0.verifies = false
            $0.authorities = try TLSAuthorities(file: fixture.caFile, at: now)
        }
        #expect(try Link(fixture.server(), knowing, name: "else.example").open().clientsPeer == nil)
        let engine = TLSEngine()
        #expect(try engine.connect(fixture.client(), to: nil, resumption: nil) == nil)
    }

    @Test func `a name of the client's own takes the place of the instance's`() throws {
        let client = try fixture.client { $0.serverName = TLSServerName("a.example") }
        let link = try Link(fixture.server(), client, name: "10.0.0.5").open()
        #expect(link.isEstablished)
        #expect(link.serverName == "a.example")
        let unnamed = try Link(fixture.server(), client, name: nil).open()
        #expect(unnamed.isEstablished)
    }

    @Test func `an authority between is found where the server sends it, and missed where it does not`() throws {
        let middle = Authority("Middle", parent: fixture.root)
        let leaf = middle.issue("below", names: "DNS:a.example")
        #expect(try Link(server(leaf, above: middle.pem), fixture.client()).open().isEstablished)
        #expect(try Link(server(leaf), fixture.client()).open().clientFailure == .certificateUntrusted)
    }

    @Test func `a self-signed certificate that is named is trusted`() throws {
        let own = Authority("Own")
        let leaf = Leaf(certificate: retained(own.certificate), key: retainedKey(own.key))
        let client = try fixture.client {
            $0.caFile = folder.write("own.pem", own.pem)
            $0.serverName = TLSServerName("a.example")
        }
        // It is no certificate for a.example, but the chain is not what is missing.
        #expect(try Link(server(leaf), client).open().clientFailure == .certificateNameMismatch)
    }

    @Test func `HTTP from a server that was to speak TLS is told by its name`() throws {
        let link = try Link(fixture.server(), fixture.client())
        link.clientEngine.start(link.client)
        link.collect()
        link.toClient = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
        link.deliverToClient(.max)
        #expect(link.clientFailure == .plainHTTP)
    }

    @Test func `a certificate needs its key, and a missing authority file is an error`() throws {
        let files = fixture
        #expect(throws: TLSLoadError.self) { try files.client { $0.certificateFile = files.certificateFile } }
        #expect(throws: TLSLoadError.self) { try files.client { $0.keyFile = files.keyFile } }
        let error = #expect(throws: TLSLoadError.self) { try files.client { $0.caFile = "/nowhere/ca.pem" } }
        #expect(error?.description == "/nowhere/ca.pem: cannot be read: No such file or directory")
    }

    @Test func `the system's authorities can be shared`() throws {
        guard let file = TLSAuthorities.systemFile else { return }
        let authorities = try TLSAuthorities(file: file, at: now)
        let clients = try (0..<3).map { _ in
            try fixture.client {
                $0.caFile = nil
                $0.authorities = authorities
            }
        }
        #expect(clients.allSatisfy { $0.files.paths == [file] })
        #expect(try Link(fixture.server(), clients[0]).open().clientFailure == .certificateUntrusted)
    }
}

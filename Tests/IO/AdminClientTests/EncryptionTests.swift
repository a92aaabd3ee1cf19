import AdminClient
import Configuration
import Glibc
import Primitives
import TLS
import Testing

/// Admin listeners that speak TLS.
@Suite struct EncryptionTests {
    private let folder = CertificateFolder()

    private func ask(_ peer: EncryptedPeer, _ tls: AdminTLS?, milliseconds: UInt64 = 10_000) throws(AdminError) -> AdminReply {
        let place = AdminPlace(address: peer.address, tls: tls)
        return try AdminConnection(place, timeout: .milliseconds(milliseconds)).send(AdminCall(.get, "/status", format: .text))
    }

    private func kind(_ body: () throws(AdminError) -> AdminReply) -> AdminError.Kind? {
        do {
            _ = try body()
            return nil
        } catch {
            return error.kind
        }
    }

    // The listener's own certificate.

    @Test(arguments: [nil, "DNS:admin.example", "IP:192.0.2.1"])
    func `a listener that shows its own certificate is believed, whatever name that is for`(names: String?) throws {
        folder.make("admin", names: names)
        let peer = try EncryptedPeer(folder.server("admin"))
        #expect(try ask(peer, AdminTLS(.exactly([folder.file("admin")]))).text == "yes")
        #expect(peer.outcome.request.hasPrefix("GET /status HTTP/1.1\r\nHost: 127.0.0.1:"))
    }

    @Test func `another certificate of the same authority is refused before anything is said`() throws {
        folder.make("authority", isAuthority: true)
        folder.make("admin", names: "IP:127.0.0.1", issuer: "authority", chain: true)
        folder.make("impostor", names: "IP:127.0.0.1", issuer: "authority", chain: true)
        let tls = AdminTLS(.exactly([folder.file("admin")]))
        #expect(try ask(EncryptedPeer(folder.server("admin")), tls).text == "yes")
        let peer = try EncryptedPeer(folder.server("impostor"))
        let text = failure { try ask(peer, tls) }
        #expect(text.contains("shows another certificate than \(folder.file("admin"))"), "\(text)")
        #expect(peer.outcome.request.isEmpty && peer.outcome.failure == .alertFromPeer)
    }

    @Test func `a listener that wants to be named is named as its certificate is`() throws {
        folder.make("admin", names: "DNS:*.admin.example,DNS:admin.example")
        let peer = try EncryptedPeer(folder.server("admin", strict: true))
        #expect(try ask(peer, AdminTLS(.exactly([folder.file("admin")]))).text == "yes")
        #expect(peer.outcome.serverName == "admin.example")
    }

    @Test func `each of several certificates of a listener is believed`() throws {
        folder.make("one")
        folder.make("two")
        let tls = AdminTLS(.exactly([folder.file("one"), folder.file("two")]))
        for name in ["one", "two"] { #expect(try ask(EncryptedPeer(folder.server(name)), tls).text == "yes") }
    }

    // Authorities.

    @Test func `with authorities the certificate must be theirs and for the name, which is the address unless it is given`()
        throws
    {
        folder.make("authority", isAuthority: true)
        folder.make("admin", names: "IP:127.0.0.1,DNS:admin.example", issuer: "authority")
        folder.make("elsewhere", names: "DNS:elsewhere.example", issuer: "authority")
        folder.make("stranger", names: "IP:127.0.0.1")
        let file = folder.file("authority")
        for name in ["127.0.0.1", "admin.example"] {
            let tls = AdminTLS(.authorities(file: file, name: name))
            #expect(try ask(EncryptedPeer(folder.server("admin")), tls).text == "yes")
            let other = failure { try ask(EncryptedPeer(folder.server("elsewhere")), tls) }
            #expect(other.contains("is not for \(name); --server-name says"), "\(other)")
            let stranger = failure { try ask(EncryptedPeer(folder.server("stranger")), tls) }
            #expect(stranger.contains("is not one that \(file) vouches for"), "\(stranger)")
        }
    }

    // Clients.

    @Test func `a certificate is shown to a listener that asks for one, and its absence is explained`() throws {
        folder.make("admin")
        folder.make("operators", isAuthority: true)
        folder.make("alice", issuer: "operators")
        folder.make("mallory")
        let server = try folder.server("admin", clientsOf: "operators")
        let trust = AdminTLS.Trust.exactly([folder.file("admin")])
        let peer = try EncryptedPeer(server)
        let tls = AdminTLS(trust, certificateFile: folder.file("alice"), keyFile: folder.key("alice"))
        #expect(try ask(peer, tls).text == "yes")
        #expect(peer.outcome.subject == "CN=alice")

        let none = failure { try ask(EncryptedPeer(server), AdminTLS(trust)) }
        #expect(none.contains("--cert-file and --key-file name one") || none.contains("broke"), "\(none)")
        let wrong = AdminTLS(trust, certificateFile: folder.file("mallory"), keyFile: folder.key("mallory"))
        let third = try EncryptedPeer(server)
        #expect(kind { () throws(AdminError) in try ask(third, wrong) } == .noAnswer)
    }

    @Test func `a file that is missing, or a key that is another's, is an error that names the file`() throws {
        folder.make("admin")
        folder.make("alice")
        let peer = try EncryptedPeer(folder.server("admin"))
        let missing = failure { try ask(peer, AdminTLS(.exactly(["\(folder.path)/none.pem"]))) }
        #expect(missing == "\(folder.path)/none.pem: cannot be read: No such file or directory")
        let tls = AdminTLS(
            .exactly([folder.file("admin")]), certificateFile: folder.file("alice"), keyFile: folder.key("admin"))
        #expect(failure { try ask(peer, tls) }.hasPrefix("\(folder.key("admin")): the private key does not belong"))
        #expect(try ask(peer, AdminTLS(.exactly([folder.file("admin")]))).text == "yes")
    }

    // Peers that do not keep to it.

    @Test func `an answer that ends with the connection and without a word of it may be cut and is an error`() throws {
        folder.make("admin")
        let tls = AdminTLS(.exactly([folder.file("admin")]))
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes"
        #expect(try ask(EncryptedPeer(folder.server("admin"), answer: whole, ending: .cut), tls).text == "yes")
        let text = failure { try ask(EncryptedPeer(folder.server("admin"), ending: .cut), tls) }
        #expect(text.contains("broke: Connection reset by peer"), "\(text)")
    }

    @Test func `a listener that says nothing in the handshake has as long as the user gives`() throws {
        folder.make("admin")
        let peer = try EncryptedPeer(folder.server("admin"), answer: nil)
        let text = failure { try ask(peer, AdminTLS(.exactly([folder.file("admin")])), milliseconds: 50) }
        #expect(text.contains("no answer from \(peer.address.text) within 50 ms"), "\(text)")
    }

    @Test func `plain text where TLS is expected, and TLS where plain text is, are errors that say so`() throws {
        folder.make("admin")
        let plain = Peer("HTTP/1.1 400 Bad Request\r\n\r\n", isEager: true)
        let place = AdminPlace(address: plain.place.address, tls: AdminTLS(.exactly([folder.file("admin")])))
        let connection = AdminConnection(place, timeout: .seconds(10))
        let text = failure { try connection.send(AdminCall(.get, "/status", format: .text)) }
        #expect(text.contains("no encrypted connection to ") && text.hasSuffix("does the listener have tls?"), "\(text)")
        let alert = Peer("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{28}")
        #expect(failure { try AdminClientTests.ask(alert) }.contains("speaks TLS; name its certificate"))
    }

    // What the command line and the file say.

    private func find(
        _ admin: String, address: String = "", caFile: String = "", serverName: String = "", certificateFile: String = "",
        keyFile: String = ""
    ) throws -> AdminPlace {
        let file = "\(folder.path)/sluice.yaml"
        try withFile("admin: \(admin)\n") { (path) throws in _ = system("cp \(path) \(file)") }
        return try AdminPlace.find(
            .init(
                address: address, caFile: caFile, serverName: serverName, certificateFile: certificateFile, keyFile: keyFile,
                configurationFile: file), environment: { _ in nil })
    }

    @Test func `the file of a listener with tls says which certificate to expect, below its own folder`() throws {
        let admin = "{address: \"127.0.0.1:3\", tls: {certificates: [{cert_file: a.pem, key_file: a.key}, {cert_file: /b.pem}]}}"
        #expect(try find(admin).tls == AdminTLS(.exactly(["\(folder.path)/a.pem", "/b.pem"])))
        #expect(
            try find(admin, certificateFile: "c", keyFile: "k").tls
                == AdminTLS(.exactly(["\(folder.path)/a.pem", "/b.pem"]), certificateFile: "c", keyFile: "k"))
        #expect(try find(admin, caFile: "ca").tls == AdminTLS(.authorities(file: "ca", name: "127.0.0.1")))
        #expect(try find(admin, address: "127.0.0.1:3").tls == nil)
        #expect(try find("{tls: {enabled: false, certificates: [{cert_file: a.pem}]}}").tls == nil)
        #expect(try find("{tls: ~}").tls == nil && find("{}").tls == nil)
    }

    @Test func `an address of the command line is encrypted where it says whom to trust`() throws {
        #expect(
            try find("{}", address: "[::1]:3", caFile: "ca").tls == AdminTLS(.authorities(file: "ca", name: "::1")))
        #expect(
            try find("{}", address: "unix:/s", caFile: "ca").tls == AdminTLS(.authorities(file: "ca", name: "localhost")))
        #expect(
            try find("{}", address: "[::1]:3", caFile: "ca", serverName: "a.example").tls
                == AdminTLS(.authorities(file: "ca", name: "a.example")))
    }

    @Test func `options that lack their other half are errors that name it`() throws {
        #expect(
            failure { try find("{}", caFile: "ca", certificateFile: "c") }.hasPrefix("--cert-file and --key-file go together"))
        #expect(failure { try find("{}", serverName: "a.example") }.hasPrefix("--server-name goes with --ca-file"))
        #expect(failure { try find("{}", caFile: "ca", serverName: "a b") }.contains("neither a host name nor an address"))
        #expect(failure { try find("{}", certificateFile: "c", keyFile: "k") }.contains("the admin listener has no tls"))
        #expect(
            failure { try find("{}", address: "[::1]:3", certificateFile: "c", keyFile: "k") }
                .contains("the address is not the configuration file's"))
        let unknown = failure { try find("{tls: {certificates: [{cert_file: \"${UNSET_HERE}\"}]}}") }
        #expect(unknown.contains("admin.tls.certificates[0].cert_file") && unknown.hasSuffix("name whom to trust with --ca-file"))
        #expect(failure { try find("{tls: {certificates: []}}") }.contains("admin.tls.certificates: names no certificate"))
        #expect(try find("{tls: {certificates: []}}", caFile: "ca").tls != nil)
    }
}

import COpenSSL
import Glibc
import Testing

@testable import TLS

@Suite struct FileTests {
    let fixture = Fixture.shared
    let folder = Folder()

    private func load(_ certificate: String, _ key: String) throws -> TLSServer {
        try TLSServer(.init(certificates: [.init(certificateFile: certificate, keyFile: key)]), at: now)
    }

    @Test func `a key that is not the certificate's is refused, and both files are named`() throws {  // 138
        let other = fixture.root.issue("other", names: "DNS:a.example")
        for key in [other.keyPEM, fixture.root.issue("rsa", key: .rsa).keyPEM] {
            let file = folder.write("other.key", key)
            let error = #expect(throws: TLSLoadError.self) { try load(fixture.certificateFile, file) }
            #expect(
                error?.description == "\(file): the private key does not belong to the certificate in \(fixture.certificateFile)")
        }
    }

    @Test func `a chain that does not begin with the leaf is refused, one out of order is warned about`() throws {  // 138
        let middle = Authority("Middle", parent: fixture.root)
        let leaf = middle.issue("below", names: "DNS:a.example")
        let key = folder.write("l.key", leaf.keyPEM)
        let reversed = folder.write("reversed.pem", middle.pem + leaf.pem)
        let error = #expect(throws: TLSLoadError.self) { try load(reversed, key) }
        #expect(error?.description.contains("stands in place 2") == true)
        let mixed = try load(folder.write("mixed.pem", leaf.pem + fixture.root.pem + middle.pem), key)
        #expect(mixed.warnings.contains { $0.description.contains("certificate 2 did not issue certificate 1") })
        let good = try load(folder.write("good.pem", leaf.pem + middle.pem + fixture.root.pem), key)
        #expect(good.warnings.isEmpty)
        #expect(try Link(good, fixture.client()).open().isEstablished)
    }

    @Test func `a key with a password is refused, and says what to do`() throws {
        let key = folder.write("secret.key", fixture.leaf.encryptedKeyPEM)
        let error = #expect(throws: TLSLoadError.self) { try load(fixture.certificateFile, key) }
        #expect(error?.file == key)
        #expect(error?.description.contains("encrypted") == true)
    }

    @Test func `files that are missing or malformed are refused with their name`() throws {  // 138
        let cases: [(certificate: String, key: String, words: String)] = [
            ("/nowhere/a.pem", fixture.keyFile, "/nowhere/a.pem: cannot be read: No such file or directory"),
            (fixture.certificateFile, "/nowhere/a.key", "/nowhere/a.key: cannot be read"),
            (folder.write("e.pem", ""), fixture.keyFile, "no certificate in PEM form"),
            (fixture.certificateFile, folder.write("e.key", ""), "no private key in PEM form"),
            (fixture.certificateFile, folder.write("c.key", fixture.leaf.pem), "no private key in PEM form"),
            (
                folder.write("h.pem", String(fixture.leaf.pem.dropLast(60))), fixture.keyFile,
                "certificate 1 of the file cannot be read"
            ),
            (
                fixture.certificateFile,
                folder.write("h.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                "private key cannot be read"
            ),
            (folder.path, fixture.keyFile, "not a regular file"),
        ]
        for (certificate, key, words) in cases {
            let error = #expect(throws: TLSLoadError.self) { try load(certificate, key) }
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
        #expect(throws: TLSLoadError.self) { try TLSServer(.init(certificates: []), at: now) }
    }

    @Test func `random files are refused and never trap`() throws {
        var random = RandomBytes(seed: 3)
        for i in 0..<200 {
            var bytes = Array(i % 2 == 0 ? fixture.leaf.pem.utf8 : fixture.leaf.keyPEM.utf8)
            for _ in 0..<(1 + random.below(4)) { bytes[random.below(bytes.count)] = UInt8(random.below(256)) }
            let file = folder.write("random.pem", bytes)
            do {
                let server = i % 2 == 0 ? try load(file, fixture.keyFile) : try load(fixture.certificateFile, file)
                #expect(server.certificates.count == 1)
            } catch {
                #expect(error is TLSLoadError)
            }
        }
    }

    @Test func `a key that others may read is warned about`() throws {  // 138
        let leaf = fixture.leaf
        for (mode, isOpen) in [(mode_t(0o600), false), (0o400, false), (0o640, true), (0o644, true), (0o604, true)] {
            let server = try load(fixture.certificateFile, folder.write("m.key", leaf.keyPEM, mode: mode))
            #expect(server.warnings.contains { $0.description.contains("chmod 600") } == isOpen)
        }
    }

    @Test func `a short RSA key is refused`() throws {
        let weak = fixture.root.issue("weak", names: "DNS:a.example", key: .weakRSA)
        let error = #expect(throws: TLSLoadError.self) {
            try load(folder.write("w.pem", weak.pem), folder.write("w.key", weak.keyPEM))
        }
        #expect(error?.description.contains("1024 bits is too short") == true)
    }

    @Test func `an expired certificate is served, and warned about`() throws {
        let old = fixture.root.issue("old", names: "DNS:a.example", days: -20 ... -10)
        let server = try load(folder.write("old.pem", old.pem), folder.write("old.key", old.keyPEM))
        #expect(server.warnings.contains { $0.description.contains("has expired") })
        let early = fixture.root.issue("early", names: "DNS:a.example", days: 10...20)
        let next = try load(folder.write("early.pem", early.pem), folder.write("early.key", early.keyPEM))
        #expect(next.warnings.contains { $0.description.contains("not valid yet") })
    }

    @Test func `what a certificate says is told`() throws {
        let facts = try #require(fixture.server().certificates.first)
        #expect(facts.file == fixture.certificateFile)
        #expect(facts.subject == "CN=a.example")
        #expect(facts.alternativeNames == ["DNS:a.example", "DNS:*.wild.example", "IP:192.0.2.1", "IP:2001:db8::1"])
        #expect(facts.key == .ecdsa && facts.keyBits == 256)
        #expect(facts.notBefore < now && facts.notAfter > now + 80 * 86_400)
    }

    @Test func `a change of any file is noticed`() throws {
        let certificate = folder.write("f.pem", fixture.leaf.pem)
        let key = folder.write("f.key", fixture.leaf.keyPEM)
        let server = try load(certificate, key)
        #expect(server.files.paths == [certificate, key])
        #expect(!server.files.haveChanged())
        // Written anew: another inode, though size and content are the same.
        _ = folder.write("g.key", fixture.leaf.keyPEM)
        #expect(!server.files.haveChanged())
        rename("\(folder.path)/g.key", key)
        #expect(server.files.haveChanged())
        #expect(try !load(certificate, key).files.haveChanged())
        let absent = TLSFileStamps(["\(folder.path)/later.pem"])
        #expect(!absent.haveChanged())
        _ = folder.write("later.pem", "x")
        #expect(absent.haveChanged())
    }

    @Test func `the version of the library can be told`() {
        #expect(TLSLibrary.versionText.hasPrefix("OpenSSL 3."))
    }
}
